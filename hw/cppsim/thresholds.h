// SPDX-License-Identifier: Apache-2.0
// Thresholding: how many of its channel's thresholds an element has reached.
#pragma once

#include <type_traits>

#include "layout.h"

namespace cppsim {

// Calls store(first, values, n) for one block of elements after the other; values[i] is the number of thresholds
// t with x[first + i] >= t, for 0 <= i < n.
//
// thresholds: Steps rows of Row elements, a multiple of the number of channels: the channels' thresholds repeated
// until a row fills a vector register. T holds every element and every threshold. The elements of a block are
// counted side by side, step by step: no branch, no table.
template <std::size_t Count, std::size_t Row, std::size_t Steps, class X, class T, class Store>
inline void count_thresholds(const X* x, const T* thresholds, Store store) {
  constexpr std::size_t kRows = Row < 512 ? 512 / Row : 1, kBlock = kRows * Row;
  for (std::size_t first = 0; first < Count; first += kBlock) {
    const std::size_t n = Count - first < kBlock ? Count - first : kBlock;
    alignas(64) T value[kBlock];
    alignas(64) T reached[kBlock] = {};
    for (std::size_t i = 0; i < n; ++i) value[i] = static_cast<T>(x[first + i]);
    for (std::size_t i = n; i < kBlock; ++i) value[i] = 0;
    for (std::size_t s = 0; s < Steps; ++s) {
      const T* row = thresholds + s * Row;
      for (std::size_t r = 0; r < kRows; ++r)
        for (std::size_t c = 0; c < Row; ++c) reached[r * Row + c] += value[r * Row + c] >= row[c];
    }
    store(first, reached, n);
  }
}

// y: the count plus Bias, Bias .. Bias + Steps. Scale is 2 for a BIPOLAR output, otherwise 1.
template <std::size_t Count, std::size_t Row, std::size_t Steps, int Scale, int Bias, class X, class T, class Y>
[[gnu::noinline]] void thresholds(const X* x, const T* levels, Y* y) {
  using Level = std::make_unsigned_t<T>;
  count_thresholds<Count, Row, Steps>(x, levels, [y](std::size_t first, const T* reached, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[first + i] = static_cast<Y>(Scale * static_cast<Level>(reached[i]) + Bias);
  });
}

}  // namespace cppsim
