// SHA-256 (FIPS 180-4), for names that nobody can make two contents have.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pyserve {

struct Digest {
  std::array<uint8_t, 32> bytes{};

  auto operator<=>(const Digest&) const = default;
};

// Thread: one at a time.
class Sha256 {
 public:
  Sha256();

  void add(std::span<const uint8_t> bytes);
  // Preceded by its length, so that no two lists of texts are alike.
  void add_text(std::string_view text);
  void add_number(uint64_t number);
  // REQUIRES: nothing is added later.
  Digest finish();

 private:
  void take_block(const uint8_t* block);

  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> block_{};
  size_t n_block_ = 0;
  uint64_t n_bytes_ = 0;
};

// The first `n_bytes` as lower-case hexadecimal digits.
std::string to_hex(const Digest& digest, size_t n_bytes = 32);

}  // namespace pyserve
