#include "disk/checksum.h"

#include <array>
#include <bit>
#include <cstring>

namespace pyserve {
namespace {

constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // 2^64 divided by the golden ratio
constexpr size_t kLanes = 4;

uint64_t mixed(uint64_t state, uint64_t word) { return std::rotl((state ^ word) * kOdd, 29); }

}  // namespace

// Every step is a bijection of the state, so a change of one word always shows.
uint64_t checksum(std::span<const uint8_t> bytes) {
  std::array<uint64_t, kLanes> lanes{1, 2, 3, 4};
  const size_t n_bytes = bytes.size();
  std::array<uint64_t, kLanes> words{};
  for (; bytes.size() >= sizeof(words); bytes = bytes.subspan(sizeof(words))) {
    std::memcpy(words.data(), bytes.data(), sizeof(words));
    for (size_t i = 0; i < kLanes; ++i) lanes[i] = mixed(lanes[i], words[i]);
  }
  words.fill(0);
  if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  uint64_t sum = n_bytes;
  for (size_t i = 0; i < kLanes; ++i) sum = mixed(sum, mixed(lanes[i], words[i]));
  return sum ^ sum >> 32;
}

}  // namespace pyserve
