// Rows of K or V that are computed soon: fetched from memory while others are computed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

// A head's row is a few lines, and those of its next cells are too far away for the processor to
// see where this leads. All at once they would be more than it can wait for, so they are fetched
// one by one among the arithmetic, into the second cache.
// NOTE: all is inlined: this is compiled for several sets of instructions, and the linker would
// take any of them.
struct Ahead {
  static constexpr size_t kLine = 64;
  static constexpr size_t kLeast = 2 * kLine;  // of a row

  const char* base = nullptr;
  size_t stride = 0;
  size_t n_bytes = 0;  // of a row
  const int32_t* cells = nullptr;
  int n_cells = 0;

  // Without the first `n` cells.
  [[gnu::always_inline]] inline Ahead after(int n) const {
    return {base, stride, n_bytes, cells + n, n_cells - n};
  }

  // The row of cell i, if there are so many.
  // NOTE: GCC takes a function that only fetches for one that does nothing, and drops calls of it.
  [[gnu::always_inline]] inline void fetch(int i) const {
    constexpr int kSecondCache = 2;
    if (i >= n_cells) return;
    const char* const row = base + static_cast<size_t>(cells[i]) * stride;
    __builtin_prefetch(row, 0, kSecondCache);
    __builtin_prefetch(row + kLine, 0, kSecondCache);
    for (size_t at = kLeast; at < n_bytes; at += kLine) {
      __builtin_prefetch(row + at, 0, kSecondCache);
    }
  }
};

}  // namespace pyserve
