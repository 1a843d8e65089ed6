#include "grammar/utf8_ranges.h"

#include <algorithm>

namespace pyserve {
namespace {

using Range = std::pair<uint32_t, uint32_t>;

// Bytes of a character, and where their encodings have a new length or a hole.
constexpr Range kBlocks[] = {
    {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, kMaxCodePoint}};

int n_bytes(uint32_t code_point) {
  if (code_point < 0x80) return 1;
  if (code_point < 0x800) return 2;
  return code_point < 0x10000 ? 3 : 4;
}

uint8_t byte_of(uint32_t code_point, int i, int n) {
  constexpr uint8_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  const uint32_t rest = code_point >> (6 * (n - 1 - i));
  if (i == 0) return static_cast<uint8_t>(kLead[n] | rest);
  return static_cast<uint8_t>(0x80 | (rest & 0x3F));
}

// Splits until only trailing bytes that take all values follow a byte that differs.
void add(uint32_t low, uint32_t high, std::vector<std::vector<ByteRange>>& out) {
  const int n = n_bytes(low);
  for (int i = 1; i < n; ++i) {
    const uint32_t mask = (1U << (6 * i)) - 1;
    if ((low & ~mask) == (high & ~mask)) break;
    if ((low & mask) != 0) {
      add(low, low | mask, out);
      return add((low | mask) + 1, high, out);
    }
    if ((high & mask) != mask) {
      add(low, (high & ~mask) - 1, out);
      return add(high & ~mask, high, out);
    }
  }
  std::vector<ByteRange>& bytes = out.emplace_back();
  for (int i = 0; i < n; ++i) bytes.push_back({byte_of(low, i, n), byte_of(high, i, n)});
}

}  // namespace

std::vector<std::vector<ByteRange>> utf8_ranges(uint32_t low, uint32_t high) {
  std::vector<std::vector<ByteRange>> out;
  for (const auto& [first, last] : kBlocks) {
    if (low <= last && high >= first) add(std::max(low, first), std::min(high, last), out);
  }
  return out;
}

std::vector<Range> merged(std::vector<Range> set) {
  std::sort(set.begin(), set.end());
  std::vector<Range> out;
  for (const Range& range : set) {
    if (!out.empty() && range.first <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, range.second);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

std::vector<Range> complement(std::vector<Range> set) {
  std::vector<Range> out;
  uint32_t next = 0;
  for (const auto& [low, high] : merged(std::move(set))) {
    if (low > next) out.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= kMaxCodePoint) out.emplace_back(next, kMaxCodePoint);
  return out;
}

}  // namespace pyserve
