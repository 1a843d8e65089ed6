// Sets of Unicode characters as sequences of byte ranges.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace pyserve {

struct ByteRange {
  uint8_t low = 0;
  uint8_t high = 0;
};

constexpr uint32_t kMaxCodePoint = 0x10FFFF;

constexpr bool is_scalar_value(uint32_t code_point) {
  return code_point <= kMaxCodePoint && (code_point < 0xD800 || code_point > 0xDFFF);
}

// Sequences that together match the UTF-8 of exactly the characters in [low, high], surrogates
// left out. REQUIRES: low <= high <= kMaxCodePoint.
std::vector<std::vector<ByteRange>> utf8_ranges(uint32_t low, uint32_t high);

// The same set, sorted, without overlaps.
std::vector<std::pair<uint32_t, uint32_t>> merged(std::vector<std::pair<uint32_t, uint32_t>> set);
// All other code points.
std::vector<std::pair<uint32_t, uint32_t>> complement(
    std::vector<std::pair<uint32_t, uint32_t>> set);

}  // namespace pyserve
