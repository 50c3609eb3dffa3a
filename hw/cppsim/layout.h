// SPDX-License-Identifier: Apache-2.0
// How tensors lie in memory, for all kernels.
//
// A tensor is a list of pixels, channels last: element c of pixel p is at p * Channels + c. An element has the
// smallest of 8, 16 or 32 bits that its datatype fits into. Only BINARY is packed: a pixel is words(Channels)
// words of 64 bits, channel c is bit c % 64 of word c / 64, and the bits behind the last channel are 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cppsim {

// Constants come as a file, and flags are packed by a product: both take the machine's first byte for the lowest.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "this program is for little-endian machines");

using Word = std::uint64_t;
constexpr std::size_t kWordBits = 64;

constexpr std::size_t words(std::size_t bits) { return (bits + kWordBits - 1) / kWordBits; }

// A result as the hardware keeps it: the low Bits bits, read as signed where T is signed.
template <unsigned Bits, class T>
T wrapped(std::int32_t value) {
  constexpr unsigned kUnused = 8 * sizeof(T) - Bits;
  return static_cast<T>(static_cast<T>(static_cast<T>(value) << kUnused) >> kUnused);
}

// Bits flags (bytes of 0 or 1, their number rounded up to 8) into words. Eight bytes become eight bits by one
// product: it moves byte i to bit 56 + i.
template <std::size_t Bits>
inline void pack_flags(const std::uint8_t* flags, Word* packed) {
  for (std::size_t w = 0; w < words(Bits); ++w) {
    const std::size_t left = Bits - w * kWordBits;
    const std::size_t groups = ((left < kWordBits ? left : kWordBits) + 7) / 8;
    Word word = 0;
    for (std::size_t g = 0; g < groups; ++g) {
      std::uint64_t eight;
      std::memcpy(&eight, flags + w * kWordBits + 8 * g, 8);
      word |= (eight * 0x0102040810204080U >> 56) << (8 * g);
    }
    packed[w] = word;
  }
}

// Bytes of 0 and 1 into a packed tensor.
template <std::size_t Pixels, std::size_t Channels>
[[gnu::noinline]] void pack(const std::uint8_t* x, Word* y) {
  std::uint8_t flags[words(Channels) * kWordBits] = {};
  for (std::size_t p = 0; p < Pixels; ++p) {
    std::memcpy(flags, x + p * Channels, Channels);
    pack_flags<Channels>(flags, y + p * words(Channels));
  }
}

// A packed tensor into bytes of 0 and 1.
template <std::size_t Pixels, std::size_t Channels>
[[gnu::noinline]] void unpack(const Word* x, std::uint8_t* y) {
  for (std::size_t p = 0; p < Pixels; ++p)
    for (std::size_t c = 0; c < Channels; ++c)
      y[p * Channels + c] = x[p * words(Channels) + c / kWordBits] >> (c % kWordBits) & 1;
}

}  // namespace cppsim
