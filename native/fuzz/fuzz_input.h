// The bytes of a fuzzer as choices and texts, and what must hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "text/utf8.h"

// The function of a fuzz target, of `data` and `n_bytes`; the tests know it by its name.
#ifdef PYSERVE_FUZZ
#define PYSERVE_FUZZ_TARGET(name) \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes)
#else
#define PYSERVE_FUZZ_TARGET(name) int fuzz_##name(const uint8_t* data, size_t n_bytes)
#endif

namespace pyserve {

// Reads from the beginning; behind the end everything is 0 and empty.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t n_bytes) : data_(data), n_bytes_(n_bytes) {}

  bool is_at_end() const { return n_bytes_ == 0; }

  uint8_t byte() {
    if (n_bytes_ == 0) return 0;
    --n_bytes_;
    return *data_++;
  }

  // In [0, n). REQUIRES: 0 < n <= 256.
  int below(int n) { return byte() % n; }

  // The bytes before the next 0, at most `n_max`.
  std::string line(size_t n_max = SIZE_MAX) {
    std::string bytes;
    while (n_bytes_ > 0 && bytes.size() < n_max) {
      const uint8_t next = byte();
      if (next == 0) break;
      bytes += static_cast<char>(next);
    }
    return bytes;
  }

  // All that is left, as valid UTF-8.
  std::string rest() {
    const std::string bytes(reinterpret_cast<const char*>(data_), n_bytes_);
    n_bytes_ = 0;
    return sanitize_utf8(bytes);
  }

 private:
  const uint8_t* data_;
  size_t n_bytes_;
};

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace pyserve
