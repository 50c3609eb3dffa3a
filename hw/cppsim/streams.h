// SPDX-License-Identifier: Apache-2.0
// Sums, joins, pools and the choice of a label.
#pragma once

#include "layout.h"

namespace cppsim {

// StreamAdd: the sum of two tensors, element by element.
template <std::size_t Count, unsigned Bits, class A, class B, class Y>
[[gnu::noinline]] void add(const A* a, const B* b, Y* y) {
  for (std::size_t i = 0; i < Count; ++i) y[i] = wrapped<Bits, Y>(std::int32_t{a[i]} + std::int32_t{b[i]});
}

// ResidualJoin: each channel's line of the counts plus the residual, in steps of 2 ^ Shift, clipped.
template <std::size_t Pixels, std::size_t Channels, unsigned Shift, int Lowest, int Highest, class P, class R, class Y>
[[gnu::noinline]] void residual_join(const P* counts, const R* residual, const std::int32_t* factors,
                                     const std::int32_t* offsets, Y* y) {
  for (std::size_t p = 0; p < Pixels; ++p, counts += Channels, residual += Channels, y += Channels)
    for (std::size_t c = 0; c < Channels; ++c) {
      const std::int32_t whole =
          ((factors[c] * std::int32_t{counts[c]} + offsets[c]) >> Shift) + std::int32_t{residual[c]};
      y[c] = static_cast<Y>(whole < Lowest ? Lowest : whole > Highest ? Highest : whole);
    }
}

// Requantise: each channel's line, in steps of 2 ^ Shift, clipped.
template <std::size_t Pixels, std::size_t Channels, unsigned Shift, int Lowest, int Highest, class X, class Y>
[[gnu::noinline]] void requantise(const X* x, const std::int64_t* factors, const std::int64_t* offsets, Y* y) {
  for (std::size_t p = 0; p < Pixels; ++p, x += Channels, y += Channels)
    for (std::size_t c = 0; c < Channels; ++c) {
      const std::int64_t whole = (factors[c] * std::int64_t{x[c]} + offsets[c]) >> Shift;
      y[c] = static_cast<Y>(whole < Lowest ? Lowest : whole > Highest ? Highest : whole);
    }
}

// Part of ResidualJoin: whether a sum is at least 0.
template <std::size_t Count, class X, class Y>
[[gnu::noinline]] void signs(const X* x, Y* y) {
  for (std::size_t i = 0; i < Count; ++i) y[i] = static_cast<Y>(x[i] >= 0);
}

// Part of StreamingConcat and ChannelPad: the Channels of x become channels First .. of y's Width channels.
template <std::size_t Pixels, std::size_t Channels, std::size_t Width, std::size_t First, class X, class Y>
[[gnu::noinline]] void place(const X* x, Y* y) {
  for (std::size_t p = 0; p < Pixels; ++p)
    for (std::size_t c = 0; c < Channels; ++c) y[p * Width + First + c] = static_cast<Y>(x[p * Channels + c]);
}

// Part of ChannelPad: zeros.
template <std::size_t Count, class Y>
[[gnu::noinline]] void clear(Y* y) {
  std::memset(y, 0, Count * sizeof(Y));
}

// ChannelComplement: each channel's elements, exclusive-or with the channel's mask.
template <std::size_t Pixels, std::size_t Channels, class X, class M, class Y>
[[gnu::noinline]] void exclusive_or(const X* x, const M* mask, Y* y) {
  for (std::size_t p = 0; p < Pixels; ++p)
    for (std::size_t c = 0; c < Channels; ++c) y[p * Channels + c] = static_cast<Y>(x[p * Channels + c] ^ mask[c]);
}

struct Sum {
  static std::int32_t of(std::int32_t a, std::int32_t b) { return a + b; }
};
struct Maximum {
  static std::int32_t of(std::int32_t a, std::int32_t b) { return a > b ? a : b; }
};

// Pool. x: for each pixel a window of Taps elements of every channel, in groups of Group channels as `windows`
// writes them. y: their Function, shifted right by Shift bits (an average rounds down).
template <class Function, std::size_t Pixels, std::size_t Channels, std::size_t Taps, std::size_t Group,
          unsigned Shift, unsigned Bits, class X, class Y>
[[gnu::noinline]] void pool(const X* x, Y* y) {
  for (std::size_t group = 0; group < Pixels * Channels / Group; ++group, x += Taps * Group, y += Group) {
    std::int32_t result[Group];
    for (std::size_t c = 0; c < Group; ++c) result[c] = x[c];
    for (std::size_t t = 1; t < Taps; ++t)
      for (std::size_t c = 0; c < Group; ++c) result[c] = Function::of(result[c], x[t * Group + c]);
    for (std::size_t c = 0; c < Group; ++c) y[c] = wrapped<Bits, Y>(result[c] >> Shift);
  }
}

// TilePool, GlobalAccPool. x: Height x Width pixels. y: the Function of each KernelH x KernelW tile of them, shifted
// right likewise.
template <class Function, std::size_t Height, std::size_t Width, std::size_t Channels, std::size_t KernelH,
          std::size_t KernelW, unsigned Shift, unsigned Bits, class X, class Y>
[[gnu::noinline]] void tile_pool(const X* x, Y* y) {
  for (std::size_t row = 0; row < Height / KernelH; ++row)
    for (std::size_t column = 0; column < Width / KernelW; ++column, y += Channels) {
      const X* corner = x + (row * KernelH * Width + column * KernelW) * Channels;
      std::int32_t result[Channels];
      for (std::size_t c = 0; c < Channels; ++c) result[c] = corner[c];
      for (std::size_t t = 1; t < KernelH * KernelW; ++t) {
        const X* tap = corner + (t / KernelW * Width + t % KernelW) * Channels;
        for (std::size_t c = 0; c < Channels; ++c) result[c] = Function::of(result[c], tap[c]);
      }
      for (std::size_t c = 0; c < Channels; ++c) y[c] = wrapped<Bits, Y>(result[c] >> Shift);
    }
}

// LabelSelect: the index of each pixel's largest element; among equal ones the first.
template <std::size_t Pixels, std::size_t Labels, class X, class Y>
[[gnu::noinline]] void label_select(const X* x, Y* y) {
  for (std::size_t p = 0; p < Pixels; ++p, x += Labels) {
    std::size_t best = 0;
    for (std::size_t label = 1; label < Labels; ++label)
      if (x[label] > x[best]) best = label;
    y[p] = static_cast<Y>(best);
  }
}

}  // namespace cppsim
