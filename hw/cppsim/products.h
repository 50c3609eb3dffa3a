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

}  // namespace cppsim
