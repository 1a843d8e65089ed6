// Compiled with -mavx2 -mfma -mf16c, so that the twin runs nearly everywhere.

#include "kernels/matmul/tile_twin.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/matmul/int8/wide_avx2.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

// What AmxTiles does, as Intel's manual says it: loading sets what is past a register's shape to 0,
// and operands whose shapes do not fit are faults.
struct ScalarTiles {
  struct Tile {
    uint8_t bytes[16][64];
  };
  struct Registers {
    TileConfig config;
    Tile tiles[8];
    bool is_configured = false;
  };
  static Registers& registers() {
    thread_local Registers all;
    return all;
  }

  static void configure(const TileConfig& config) {
    Registers& all = registers();
    PYSERVE_CHECK(config.palette == 1 && config.start_row == 0);
    for (int tile = 0; tile < 16; ++tile) {
      PYSERVE_CHECK(config.n_rows[tile] <= (tile < 8 ? 16 : 0));
      PYSERVE_CHECK(config.row_bytes[tile] <= (tile < 8 ? 64 : 0));
      PYSERVE_CHECK((config.n_rows[tile] == 0) == (config.row_bytes[tile] == 0));
    }
    all = {config, {}, true};
  }
  static void release() { registers() = {}; }

  template <int kTile>
  static void zero() {
    std::memset(checked(kTile).bytes, 0, sizeof(Tile));
  }
  template <int kTile>
  static void load(const void* from, size_t stride) {
    Tile& tile = checked(kTile);
    std::memset(tile.bytes, 0, sizeof(Tile));
    for (int row = 0; row < n_rows(kTile); ++row) {
      std::memcpy(tile.bytes[row], static_cast<const char*>(from) + row * stride, n_bytes(kTile));
    }
  }
  template <int kTile>
  static void store(void* to, size_t stride) {
    const Tile& tile = checked(kTile);
    for (int row = 0; row < n_rows(kTile); ++row) {
      std::memcpy(static_cast<char*>(to) + row * stride, tile.bytes[row], n_bytes(kTile));
    }
  }
  template <int kSums, int kA, int kB>
  static void dot() {
    add_products<int8_t, kSums, kA, kB>();
  }
  template <int kSums, int kA, int kB>
  static void dot_unsigned() {
    add_products<uint8_t, kSums, kA, kB>();
  }

 private:
  template <typename ByteOfB, int kSums, int kA, int kB>
  static void add_products() {
    Tile& sums = checked(kSums);
    const Tile& a = checked(kA);
    const Tile& b = checked(kB);
    PYSERVE_CHECK(n_rows(kSums) == n_rows(kA) && n_bytes(kSums) == n_bytes(kB));
    PYSERVE_CHECK(n_bytes(kA) == 4 * n_rows(kB));
    for (int i = 0; i < n_rows(kSums); ++i) {
      for (int k = 0; k < n_bytes(kA); ++k) {
        for (int j = 0; j < n_bytes(kSums) / 4; ++j) {
          int32_t sum = 0;
          std::memcpy(&sum, sums.bytes[i] + 4 * j, sizeof(sum));
          sum += static_cast<int8_t>(a.bytes[i][k]) *
                 static_cast<ByteOfB>(b.bytes[k / 4][4 * j + k % 4]);
          std::memcpy(sums.bytes[i] + 4 * j, &sum, sizeof(sum));
        }
      }
    }
  }
  static Tile& checked(int tile) {
    PYSERVE_CHECK(registers().is_configured && n_rows(tile) > 0);
    return registers().tiles[tile];
  }
  static int n_rows(int tile) { return registers().config.n_rows[tile]; }
  static int n_bytes(int tile) { return registers().config.row_bytes[tile]; }
};

struct Twin : Wide256 {
  using Tiles = ScalarTiles;
  static constexpr int kTile = 4;
  static constexpr int kMinRepackedKColumns = 1;
  static constexpr bool kHasDot = true;

  // Even and odd bytes in 16 bits, of which pairs are added up.
  PYSERVE_WIDE Part dot(Part sums, Part weights, Part x) {
    const Part even = _mm256_madd_epi16(_mm256_and_si256(weights, _mm256_set1_epi16(0xFF)),
                                        _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8));
    const Part odd = _mm256_madd_epi16(_mm256_srli_epi16(weights, 8), _mm256_srai_epi16(x, 8));
    return _mm256_add_epi32(sums, _mm256_add_epi32(even, odd));
  }
};

constinit const Int8GemmKernels kTwin = int8_gemm_kernels_of<Twin>("twin");

}  // namespace

const Int8GemmKernels& tile_twin() { return kTwin; }

}  // namespace pyserve
