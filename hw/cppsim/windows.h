// SPDX-License-Identifier: Apache-2.0
// Padding and windows: what moves elements about and computes nothing.
#pragma once

#include "layout.h"

namespace cppsim {

// FMPadding. x: Height x Width pixels of Elements elements, or of words where BINARY is packed. y: the same with
// zeros around; in a BINARY tensor a zero stands for -1.
template <std::size_t Height, std::size_t Width, std::size_t Elements, std::size_t Top, std::size_t Left,
          std::size_t Bottom, std::size_t Right, class T>
[[gnu::noinline]] void pad(const T* x, T* y) {
  constexpr std::size_t kRow = (Left + Width + Right) * Elements;
  std::memset(y, 0, (Top + Height + Bottom) * kRow * sizeof(T));
  for (std::size_t row = 0; row < Height; ++row)
    std::memcpy(y + (Top + row) * kRow + Left * Elements, x + row * Width * Elements, Width * Elements * sizeof(T));
}

// A sliding window: size, stride and dilation (vertical, horizontal) on an image.
template <std::size_t Height, std::size_t Width, std::size_t KernelH, std::size_t KernelW, std::size_t StrideH,
          std::size_t StrideW, std::size_t DilationH, std::size_t DilationW>
struct Window {
  static constexpr std::size_t kRows = (Height - DilationH * (KernelH - 1) - 1) / StrideH + 1;
  static constexpr std::size_t kColumns = (Width - DilationW * (KernelW - 1) - 1) / StrideW + 1;
  static constexpr std::size_t kTaps = KernelH * KernelW;
  // Input pixel under the first tap of the window at (row, column).
  static constexpr std::size_t corner(std::size_t row, std::size_t column) {
    return row * StrideH * Width + column * StrideW;
  }
  // Distance in pixels of tap t (row by row) from the first.
  static constexpr std::size_t tap(std::size_t t) { return t / KernelW * DilationH * Width + t % KernelW * DilationW; }
};

// ConvolutionInputGenerator. y: for each position Channels / Group groups of kTaps taps of Group channels.
// Group = Channels is im2col's order; the depthwise generator in RTL has Group = SIMD.
template <class Geometry, std::size_t Channels, std::size_t Group, class T>
[[gnu::noinline]] void windows(const T* x, T* y) {
  for (std::size_t row = 0; row < Geometry::kRows; ++row)
    for (std::size_t column = 0; column < Geometry::kColumns; ++column)
      for (std::size_t first = 0; first < Channels; first += Group)
        for (std::size_t t = 0; t < Geometry::kTaps; ++t, y += Group)
          std::memcpy(y, x + (Geometry::corner(row, column) + Geometry::tap(t)) * Channels + first, Group * sizeof(T));
}

// The same in im2col's order for packed pixels: the taps' bits follow each other without a gap.
template <class Geometry, std::size_t Channels>
[[gnu::noinline]] void packed_windows(const Word* x, Word* y) {
  constexpr std::size_t kIn = words(Channels), kOut = words(Geometry::kTaps * Channels);
  for (std::size_t row = 0; row < Geometry::kRows; ++row)
    for (std::size_t column = 0; column < Geometry::kColumns; ++column, y += kOut) {
      const Word* corner = x + Geometry::corner(row, column) * kIn;
      Word window[kOut + 1] = {};
#pragma GCC unroll 32
      for (std::size_t t = 0; t < Geometry::kTaps; ++t)
        for (std::size_t w = 0; w < kIn; ++w) {
          const Word tap = corner[Geometry::tap(t) * kIn + w];
          const std::size_t bit = t * Channels + w * kWordBits, shift = bit % kWordBits;
          window[bit / kWordBits] |= tap << shift;
          if (shift != 0) window[bit / kWordBits + 1] |= tap >> (kWordBits - shift);
        }
      std::memcpy(y, window, kOut * sizeof(Word));
    }
}

}  // namespace cppsim
