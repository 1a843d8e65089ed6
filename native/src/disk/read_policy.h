// Whether reading a prefix is faster than computing it. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace pyserve {

// What has been measured; 0: nothing yet.
struct PrefixRates {
  double read_bytes_per_ms = 0;
  double prompt_ms_per_token = 0;
};

// As a slow disk does; measured from the first file on.
inline constexpr double kAssumedBytesPerMs = 100'000;
inline constexpr double kReadLatencyMs = 5;
// Fewer tokens are not worth a request's wait for another thread.
inline constexpr int kMinReadTokens = 64;

inline double predicted_read_ms(const PrefixRates& rates, int64_t n_bytes) {
  const double rate = rates.read_bytes_per_ms > 0 ? rates.read_bytes_per_ms : kAssumedBytesPerMs;
  return kReadLatencyMs + static_cast<double>(n_bytes) / rate;
}

// As long as nothing has been computed, computing is taken to be slower: it nearly always is.
inline bool pays_to_read(const PrefixRates& rates, int n_tokens, int64_t n_bytes) {
  if (n_tokens < kMinReadTokens) return false;
  if (rates.prompt_ms_per_token <= 0) return true;
  return predicted_read_ms(rates, n_bytes) < rates.prompt_ms_per_token * n_tokens;
}

// After so long a read is given up and the rest computed: several times what it should take, and
// not much more than computing would have taken.
inline double read_limit_ms(const PrefixRates& rates, int n_tokens, int64_t n_bytes) {
  constexpr double kPatience = 3;
  constexpr double kLeastMs = 1000;
  const double compute_ms = rates.prompt_ms_per_token * n_tokens;
  return std::max({kLeastMs, compute_ms, kPatience * predicted_read_ms(rates, n_bytes)});
}

}  // namespace pyserve
