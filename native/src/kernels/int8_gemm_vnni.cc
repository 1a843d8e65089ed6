// Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512vnni.
//
// Rows are in the lanes: a vector holds 4 neighbouring weights of each of 16 rows, one instruction
// multiplies them with 4 activations of one column and adds up. After a block of 32 the integer
// sums are scaled once for all 16 rows.

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "kernels/int8_unpack_k_vnni.h"
#include "kernels/int8_unpack_vnni.h"
#include "kernels/int8_unpack_x8_vnni.h"

namespace pyserve {
namespace {

// Without it the compiler hands blocks over in memory.
#define PYSERVE_INLINE __attribute__((always_inline))

constexpr int kTile = 8;  // columns whose sums are in registers
constexpr size_t kFetchAheadBytes = 32 << 10;

// What the integer sums of a block begin with, or for weights with an offset, d * sum of q: in
// front of each block's place for two numbers.
template <typename Type>
void store_sums(__m512i first16, __m512i last16, float d, int32_t* sums) {
  const int32_t first = _mm512_reduce_add_epi32(first16);
  const int32_t last = _mm512_reduce_add_epi32(last16);
  if constexpr (Type::kHasOffset) {
    sums[0] = std::bit_cast<int32_t>(d * static_cast<float>(first + last));
  } else if constexpr (Type::kGroups == 2) {
    sums[0] = -Type::kZero * first;
    sums[1] = -Type::kZero * last;
  } else {
    sums[0] = -Type::kZero * (first + last);
  }
}

template <typename Type>
void quantize(const float* x, int n_k, int8_t* q, float* d, int32_t* sums) {
  for (int b = 0; b < n_k / kInt8Block; ++b) {
    const __m512 lo = _mm512_loadu_ps(x + b * kInt8Block);
    const __m512 hi = _mm512_loadu_ps(x + b * kInt8Block + 16);
    const float top = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(lo), _mm512_abs_ps(hi)));
    const __m512 inverse = _mm512_set1_ps(top == 0 ? 0 : 127.0F / top);
    const __m512i qlo = _mm512_cvtps_epi32(_mm512_mul_ps(lo, inverse));
    const __m512i qhi = _mm512_cvtps_epi32(_mm512_mul_ps(hi, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + b * kInt8Block), _mm512_cvtepi32_epi8(qlo));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + b * kInt8Block + 16),
                     _mm512_cvtepi32_epi8(qhi));
    d[b] = top / 127.0F;
    store_sums<Type>(qlo, qhi, d[b], sums + 2 * b);
  }
}

// Where kN columns are, from the first unpacked block on.
template <int kN>
struct Tile {
  Tile(const Int8Columns& columns, int first_block, int first_column) {
    const size_t n_blocks = columns.n_k / kInt8Block;
    for (int c = 0; c < kN; ++c) {
      const size_t block = (static_cast<size_t>(first_column) + c) * n_blocks + first_block;
      q[c] = columns.q + block * kInt8Block;
      d[c] = columns.d + block;
      sums[c] = columns.sums + block * 2;
    }
  }

  __m512i activations(int c, int b, int quad) const {
    int32_t four = 0;
    std::memcpy(&four, q[c] + b * kInt8Block + 4 * quad, sizeof(four));
    return _mm512_set1_epi32(four);
  }

  const int8_t* q[kN];
  const float* d[kN];
  const int32_t* sums[kN];
};

// acc[c] += the product of one block of 16 rows with block b of the tile's columns.
template <typename Type, int kN>
[[gnu::always_inline]] inline void multiply_block(const UnpackedBlock& w, const Tile<kN>& tile,
                                                  int b, __m512* acc) {
  constexpr int kGroupQuads = kQuads / Type::kGroups;
#pragma GCC unroll 2
  for (int group = 0; group < Type::kGroups; ++group) {
    __m512i dot[kN];
    for (int c = 0; c < kN; ++c) {
      dot[c] = Type::kHasOffset ? _mm512_setzero_si512()
                                : _mm512_set1_epi32(tile.sums[c][2 * b + group]);
    }
#pragma GCC unroll 8
    for (int j = group * kGroupQuads; j < (group + 1) * kGroupQuads; ++j) {
      for (int c = 0; c < kN; ++c) {
        dot[c] = _mm512_dpbusd_epi32(dot[c], w.weights[j], tile.activations(c, b, j));
      }
    }
    for (int c = 0; c < kN; ++c) {
      const __m512 scale = _mm512_mul_ps(w.scale[group], _mm512_set1_ps(tile.d[c][b]));
      acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[c]), scale, acc[c]);
    }
  }
  if constexpr (Type::kHasOffset) {
    for (int c = 0; c < kN; ++c) {
      const auto sum = std::bit_cast<float>(tile.sums[c][2 * b]);
      acc[c] = _mm512_fmadd_ps(w.offset, _mm512_set1_ps(sum), acc[c]);
    }
  }
}

template <typename Type, int kN>
void multiply_tile(const UnpackedBlock* blocks, int first_block, int n_blocks,
                   const Int8Columns& columns, int first_column, float* all_sums) {
  const Tile<kN> tile(columns, first_block, first_column);
  float* sums = all_sums + static_cast<size_t>(first_column) * kUnpackRows;
  __m512 acc[kN];
  for (int c = 0; c < kN; ++c) acc[c] = _mm512_loadu_ps(sums + c * kUnpackRows);
  for (int b = 0; b < n_blocks; ++b) multiply_block<Type, kN>(blocks[b], tile, b, acc);
  for (int c = 0; c < kN; ++c) _mm512_storeu_ps(sums + c * kUnpackRows, acc[c]);
}

// Into the second cache, for the first one is full.
void fetch(const char* from, size_t n_bytes) {
  for (size_t line = 0; line < n_bytes; line += 64) _mm_prefetch(from + line, _MM_HINT_T1);
}

// Calls run(std::integral_constant<int, n>) for n < kN.
template <int kN, typename Run>
void with_constant(int n, Run run) {
  if constexpr (kN > 0) {
    if (n == kN) {
      run(std::integral_constant<int, kN>());
    } else {
      with_constant<kN - 1>(n, run);
    }
  }
}

// Runs for each kMaxBlocks blocks, and fetches ahead: rows follow each other in memory, and so do
// the 16 rows of the next calls.
template <typename Type, typename Run>
void for_each_piece(const char* const* rows, int n_blocks, Run run) {
  constexpr int kBlocksEach = Type::kBlockWeights / kInt8Block;
  constexpr int kBlocksAcross = kUnpackRows / Type::kRowsTogether;
  for (int first = 0; first < n_blocks; first += kMaxBlocks) {
    const int n = std::min(kMaxBlocks, n_blocks - first);
    const size_t at = static_cast<size_t>(first / kBlocksEach) * Type::kBlockBytes;
    fetch(rows[0] + at * kBlocksAcross + kFetchAheadBytes,
          n / kBlocksEach * Type::kBlockBytes * kBlocksAcross);
    run(first, n, at);
  }
}

// Few columns: each block stays in registers for all of them.
template <typename Type, int kN>
void multiply_few(const char* const* rows, const Int8Columns& columns, float* sums) {
  __m512 acc[kN];
  for (int c = 0; c < kN; ++c) acc[c] = _mm512_setzero_ps();
  for_each_piece<Type>(rows, columns.n_k / kInt8Block, [&](int first, int n, size_t at) {
    const Tile<kN> tile(columns, first, 0);
    Type::for_each_block(rows, at, n, [&](int b, const UnpackedBlock& block) PYSERVE_INLINE {
      multiply_block<Type, kN>(block, tile, b, acc);
    });
  });
  for (int c = 0; c < kN; ++c) _mm512_storeu_ps(sums + c * kUnpackRows, acc[c]);
}

template <typename Type>
void multiply_many(const char* const* rows, const Int8Columns& columns, float* sums) {
  std::fill_n(sums, static_cast<size_t>(columns.n_columns) * kUnpackRows, 0.0F);
  UnpackedBlock blocks[kMaxBlocks];
  for_each_piece<Type>(rows, columns.n_k / kInt8Block, [&](int first, int n, size_t at) {
    Type::for_each_block(
        rows, at, n, [&](int b, const UnpackedBlock& block) PYSERVE_INLINE { blocks[b] = block; });
    int c = 0;
    for (; c + kTile <= columns.n_columns; c += kTile) {
      multiply_tile<Type, kTile>(blocks, first, n, columns, c, sums);
    }
    with_constant<kTile - 1>(columns.n_columns - c, [&](auto rest) {
      multiply_tile<Type, rest()>(blocks, first, n, columns, c, sums);
    });
  });
}

template <typename Type>
void multiply(const char* const* rows, const Int8Columns& columns, float* sums) {
  if (columns.n_columns > kTile) {
    multiply_many<Type>(rows, columns, sums);
  } else {
    with_constant<kTile>(columns.n_columns,
                         [&](auto n) { multiply_few<Type, n()>(rows, columns, sums); });
  }
}

template <typename Type, int kMinColumns>
constexpr Int8Kernel kKernel{kMinColumns, &quantize<Type>, &multiply<Type>};

}  // namespace

const Int8GemmKernels kVnniGemm{
    .name = "avx512vnni",
    .q4_0 = kKernel<Nibbles<false>, 1>,
    .q4_1 = kKernel<OffsetNibbles<false>, 1>,
    .q5_0 = kKernel<Nibbles<true>, 1>,
    .q5_1 = kKernel<OffsetNibbles<true>, 1>,
    .q8_0 = kKernel<SignedBytes, 2>,
    .q4_k = kKernel<KNibbles<false>, 1>,
    .q5_k = kKernel<KNibbles<true>, 1>,
    .q6_k = kKernel<SixBits, 3>,
    .q4_0x8 = kKernel<RepackedNibbles, 1>,
    .q4_kx8 = kKernel<RepackedKNibbles, 1>,
};

}  // namespace pyserve
