// K or V of one cell as vectors of floats, by what they are kept as.
//
// load(row, d): the numbers [d, d + kLanes) of a head; d is a multiple of kLanes. Blocks of ggml's
// q8_0 and q4_0: 32 numbers with one 16-bit scale before them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

template <typename Simd>
struct F32Row {
  static typename Simd::Vec load(const char* row, int d) {
    return Simd::load(reinterpret_cast<const float*>(row) + d);
  }
};

template <typename Simd>
struct F16Row {
  static typename Simd::Vec load(const char* row, int d) {
    return Simd::load_f16(reinterpret_cast<const uint16_t*>(row) + d);
  }
};

template <typename Simd>
struct Bf16Row {
  static typename Simd::Vec load(const char* row, int d) {
    return Simd::load_bf16(reinterpret_cast<const uint16_t*>(row) + d);
  }
};

inline constexpr int kRowBlock = 32;  // numbers

// Where the quantized numbers of d's block begin, after the scale.
template <typename Simd, size_t kNumberBytes>
struct QuantizedBlock {
  QuantizedBlock(const char* row, int d)
      : begin(row + d / kRowBlock * (sizeof(uint16_t) + kNumberBytes)) {}
  typename Simd::Vec scale() const {
    return Simd::set1_f16(reinterpret_cast<const uint16_t*>(begin));
  }
  const char* numbers() const { return begin + sizeof(uint16_t); }

  const char* begin;
};

template <typename Simd>
struct Q8Row {
  static typename Simd::Vec load(const char* row, int d) {
    const QuantizedBlock<Simd, kRowBlock> block(row, d);
    const auto* numbers = reinterpret_cast<const int8_t*>(block.numbers()) + d % kRowBlock;
    return Simd::mul(block.scale(), Simd::load_i8(numbers));
  }
};

// Number i is the lower half of byte i, number 16 + i the upper one, each 8 more than it counts.
template <typename Simd>
struct Q4Row {
  static typename Simd::Vec load(const char* row, int d) {
    constexpr int kHalf = kRowBlock / 2;
    const QuantizedBlock<Simd, kHalf> block(row, d);
    const auto* bytes = reinterpret_cast<const uint8_t*>(block.numbers()) + d % kHalf;
    const typename Simd::Vec numbers = Simd::load_u4(bytes, d % kRowBlock < kHalf ? 0 : 4);
    return Simd::mul(block.scale(), Simd::sub(numbers, Simd::set1(8)));
  }
};

}  // namespace pyserve
