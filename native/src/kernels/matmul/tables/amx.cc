// Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512vnni; the instructions of tiles
// need no flag.

#include "kernels/matmul/floats/bf16_dot.h"
#include "kernels/matmul/int8/amx_tiles.h"
#include "kernels/matmul/int8/wide_avx512.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

// Few columns as with VNNI alone.
struct Amx : Wide512 {
  using Tiles = AmxTiles;
  static constexpr int kTile = 8;
  static constexpr int kMinRepackedKColumns = 1;
  static constexpr bool kHasDot = true;

  PYSERVE_WIDE Part dot(Part sums, Part weights, Part x) {
    return _mm512_dpbusd_epi32(sums, weights, x);
  }
  PYSERVE_WIDE Part add_pairs(Part sums, Part a, Part b) { return _mm512_dpwssd_epi32(sums, a, b); }
};

}  // namespace

constinit const Int8GemmKernels kAmxInt8Gemm = int8_gemm_kernels_of<Amx>("amx");
constinit const Int8GemmKernels kAmxBf16Gemm = int8_gemm_kernels_of<Amx, Bf16Dot>("amx");

}  // namespace pyserve
