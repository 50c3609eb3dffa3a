// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products. Every sum is kept in the Bits bits of the hardware's accumulator: it wraps as there.
#pragma once

#include "layout.h"

namespace cppsim {

// XnorMVAU. y: for each pixel of MW bits the number of bits that agree with each of MH weight vectors, 0 .. MW.
// weights: word w of vector h at w * MH + h, so that neighbouring sums go through neighbouring lanes. Padding bits
// are 0 on both sides and so never differ.
template <std::size_t Pixels, std::size_t MW, std::size_t MH, unsigned Bits, class Y>
[[gnu::noinline]] void xnor_mvau(const Word* x, const Word* weights, Y* y) {
  for (std::size_t p = 0; p < Pixels; ++p, x += words(MW), y += MH) {
    Word differing[MH] = {};
    for (std::size_t w = 0; w < words(MW); ++w)
#pragma GCC unroll 1
      for (std::size_t h = 0; h < MH; ++h) differing[h] += __builtin_popcountll(x[w] ^ weights[w * MH + h]);
    for (std::size_t h = 0; h < MH; ++h) y[h] = wrapped<Bits, Y>(static_cast<std::int32_t>(MW - differing[h]));
  }
}

// MVAU without thresholds. y: for each pixel of MW integers the MH sums of products; weights: (MW, MH).
template <std::size_t Pixels, std::size_t MW, std::size_t MH, unsigned Bits, class X, class W, class Y>
[[gnu::noinline]] void mvau(const X* x, const W* weights, Y* y) {
  for (std::size_t p = 0; p < Pixels; ++p, x += MW, y += MH) {
    std::int32_t sum[MH] = {};
    for (std::size_t k = 0; k < MW; ++k)
#pragma GCC unroll 1
      for (std::size_t h = 0; h < MH; ++h) sum[h] += static_cast<std::int32_t>(x[k]) * weights[k * MH + h];
    for (std::size_t h = 0; h < MH; ++h) y[h] = wrapped<Bits, Y>(sum[h]);
  }
}

// GroupedMVAU. x: for each pixel a window of Taps elements of every channel, in runs of Run channels as `windows`
// writes them. y: MH sums, each over the channels of its group. weights: (Groups, Taps, channels and MH of a group).
template <std::size_t Pixels, std::size_t Channels, std::size_t Groups, std::size_t Taps, std::size_t Run,
          std::size_t MH, unsigned Bits, class X, class W, class Y>
[[gnu::noinline]] void grouped_mvau(const X* x, const W* weights, Y* y) {
  constexpr std::size_t kWide = Channels / Groups, kFan = MH / Groups;
  for (std::size_t p = 0; p < Pixels; ++p, x += Taps * Channels) {
    const W* weight = weights;
    for (std::size_t g = 0; g < Groups; ++g, y += kFan) {
      std::int32_t sum[kFan] = {};
      for (std::size_t t = 0; t < Taps; ++t)
        for (std::size_t c = g * kWide; c < (g + 1) * kWide; ++c, weight += kFan) {
          const std::int32_t element = x[(c / Run * Taps + t) * Run + c % Run];
          for (std::size_t h = 0; h < kFan; ++h) sum[h] += element * weight[h];
        }
      for (std::size_t h = 0; h < kFan; ++h) y[h] = wrapped<Bits, Y>(sum[h]);
    }
  }
}

}  // namespace cppsim
