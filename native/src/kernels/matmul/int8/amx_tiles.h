// The tile registers of AMX, as products of bytes use them.
//
// Written with instructions, not intrinsics: compilers were seen to read a part of a configuration
// and to move stores past the loads of tiles. Source: Intel, Software Developer's Manual, volume 2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyserve {

// The shapes of the eight registers. The processor reads all 64 bytes.
struct TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t n_rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// A thread's registers, between configure() and release().
// REQUIRES: the system lets this process use tiles (`request_tiles`).
struct AmxTiles {
  [[gnu::always_inline]] static inline void configure(const TileConfig& config) {
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  [[gnu::always_inline]] static inline void release() { asm volatile("tilerelease"); }

  template <int kTile>
  [[gnu::always_inline]] static inline void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  // Rows `stride` bytes apart.
  template <int kTile>
  [[gnu::always_inline]] static inline void load(const void* from, size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  [[gnu::always_inline]] static inline void store(void* to, size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  // kSums[i][j] += sum over k of kA[i][k] * kB[k / 4][4 j + k % 4], of signed bytes, in 32 bits.
  template <int kSums, int kA, int kB>
  [[gnu::always_inline]] static inline void dot() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kA), "i"(kB));
  }
  // The same where the bytes of kB have no sign.
  template <int kSums, int kA, int kB>
  [[gnu::always_inline]] static inline void dot_unsigned() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kA), "i"(kB));
  }
};

}  // namespace pyserve
