// Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512vnni.
//
// Rows are in the lanes: a vector holds 4 neighbouring weights of each of 16 rows, one instruction
// multiplies them with 4 activations of one column and adds up. After a block of 32 the integer
// sums are scaled once for all 16 rows.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/simd_avx512.h"
#include "kernels/int8_gemm.h"

namespace pyserve {
namespace {

constexpr int kRows = 16;
constexpr int kQuads = kInt8Block / 4;  // groups of 4 weights in a block
constexpr int kMaxBlocks = 8;           // unpacked at a time, 4 KiB
constexpr int kTile = 8;                // columns whose sums are in registers

void quantize(const float* x, int n_k, int8_t* q, float* d, float* s) {
  for (int b = 0; b < n_k / kInt8Block; ++b) {
    const __m512 lo = _mm512_loadu_ps(x + b * kInt8Block);
    const __m512 hi = _mm512_loadu_ps(x + b * kInt8Block + 16);
    const float top = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(lo), _mm512_abs_ps(hi)));
    const float scale = top / 127.0F;
    const __m512 inverse = _mm512_set1_ps(top == 0 ? 0 : 127.0F / top);
    const __m512i qlo = _mm512_cvtps_epi32(_mm512_mul_ps(lo, inverse));
    const __m512i qhi = _mm512_cvtps_epi32(_mm512_mul_ps(hi, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + b * kInt8Block), _mm512_cvtepi32_epi8(qlo));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + b * kInt8Block + 16),
                     _mm512_cvtepi32_epi8(qhi));
    d[b] = scale;
    s[b] = scale * static_cast<float>(_mm512_reduce_add_epi32(_mm512_add_epi32(qlo, qhi)));
  }
}

// Up to kMaxBlocks blocks of 16 rows: weights as unsigned bytes, [block][quad][row][4].
struct Unpacked {
  __m512i weights[kMaxBlocks][kQuads];
  __m512 scale[kMaxBlocks];
  __m512 offset[kMaxBlocks];
};

// quads[j] lane i = the j-th 4 bytes of rows[i], from the 16 bytes at `at` of each row.
void load_quads(const char* const* rows, size_t at, __m512i* quads) {
  __m512i four[4];  // rows 4g .. 4g + 3 in the 128-bit lanes
  for (int g = 0; g < 4; ++g) {
    const auto load = [&](int i) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 * g + i] + at));
    };
    __m512i x = _mm512_castsi128_si512(load(0));
    x = _mm512_inserti32x4(x, load(1), 1);
    x = _mm512_inserti32x4(x, load(2), 2);
    four[g] = _mm512_inserti32x4(x, load(3), 3);
  }
  // Dword 4r + j of four[g] is quad j of row 4g + r; it goes to lane 4g + r of quads[j].
  for (int j = 0; j < 4; ++j) {
    const __m512i pick = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 28 + j, 24 + j, 20 + j, 16 + j,
                                          12 + j, 8 + j, 4 + j, j);
    const __m512i first = _mm512_permutex2var_epi32(four[0], pick, four[1]);
    const __m512i second = _mm512_permutex2var_epi32(four[2], pick, four[3]);
    quads[j] = _mm512_inserti64x4(first, _mm512_castsi512_si256(second), 1);
  }
}

// The fifth bits of weights 4j .. 4j + 3, each at bit 4 of its byte.
__m512i fifth_bits(__m512i bits, int j) {
  const __m512i four = _mm512_srl_epi32(bits, _mm_cvtsi32_si128(4 * j));
  __m512i out = _mm512_setzero_si512();
  for (int i = 0; i < 4; ++i) {
    const __m512i bit =
        _mm512_and_si512(_mm512_srl_epi32(four, _mm_cvtsi32_si128(i)), _mm512_set1_epi32(1));
    out = _mm512_or_si512(out, _mm512_sll_epi32(bit, _mm_cvtsi32_si128(8 * i + 4)));
  }
  return out;
}

template <bool kHasFifthBit>
void unpack(const char* const* rows, int first_block, int n_blocks, Unpacked& out) {
  constexpr size_t kHead = kHasFifthBit ? 8 : 4;
  constexpr size_t kBlockBytes = kHead + 16;
  const __m512i low = _mm512_set1_epi8(0x0F);
  for (int b = 0; b < n_blocks; ++b) {
    const size_t at = (static_cast<size_t>(first_block) + b) * kBlockBytes;
    uint16_t d[kRows];
    uint16_t m[kRows];
    uint32_t fifth[kRows];
    for (int i = 0; i < kRows; ++i) {
      std::memcpy(&d[i], rows[i] + at, sizeof(d[i]));
      std::memcpy(&m[i], rows[i] + at + 2, sizeof(m[i]));
      if constexpr (kHasFifthBit) std::memcpy(&fifth[i], rows[i] + at + 4, sizeof(fifth[i]));
    }
    out.scale[b] = Avx512::load_f16(d);
    out.offset[b] = Avx512::load_f16(m);
    __m512i quads[4];
    load_quads(rows, at + kHead, quads);
    for (int j = 0; j < 4; ++j) {
      // The low half of byte i is weight i, the high half weight i + 16.
      out.weights[b][j] = _mm512_and_si512(quads[j], low);
      out.weights[b][j + 4] = _mm512_and_si512(_mm512_srli_epi16(quads[j], 4), low);
    }
    if constexpr (kHasFifthBit) {
      const __m512i bits = _mm512_loadu_si512(fifth);
      for (int j = 0; j < kQuads; ++j) {
        out.weights[b][j] = _mm512_or_si512(out.weights[b][j], fifth_bits(bits, j));
      }
    }
  }
}

template <int kN>
void multiply_tile(const Unpacked& w, int first_block, int n_blocks, const Int8Columns& columns,
                   int first_column, float* sums) {
  const int blocks_per_column = columns.n_k / kInt8Block;
  __m512 acc[kN];
  const int8_t* q[kN];
  const float* d[kN];
  const float* s[kN];
  for (int c = 0; c < kN; ++c) {
    const size_t column = static_cast<size_t>(first_column) + c;
    acc[c] = _mm512_loadu_ps(sums + column * kRows);
    q[c] = columns.q + column * columns.n_k + static_cast<size_t>(first_block) * kInt8Block;
    d[c] = columns.d + column * blocks_per_column + first_block;
    s[c] = columns.s + column * blocks_per_column + first_block;
  }
  for (int b = 0; b < n_blocks; ++b) {
    __m512i dot[kN];
    for (int c = 0; c < kN; ++c) dot[c] = _mm512_setzero_si512();
    for (int j = 0; j < kQuads; ++j) {
      const __m512i weights = w.weights[b][j];
      for (int c = 0; c < kN; ++c) {
        int32_t four = 0;
        std::memcpy(&four, q[c] + b * kInt8Block + 4 * j, sizeof(four));
        dot[c] = _mm512_dpbusd_epi32(dot[c], weights, _mm512_set1_epi32(four));
      }
    }
    for (int c = 0; c < kN; ++c) {
      const __m512 scale = _mm512_mul_ps(w.scale[b], _mm512_set1_ps(d[c][b]));
      acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[c]), scale, acc[c]);
      acc[c] = _mm512_fmadd_ps(w.offset[b], _mm512_set1_ps(s[c][b]), acc[c]);
    }
  }
  for (int c = 0; c < kN; ++c) {
    _mm512_storeu_ps(sums + (static_cast<size_t>(first_column) + c) * kRows, acc[c]);
  }
}

template <int kN>
void multiply_rest(const Unpacked& w, int first_block, int n_blocks, const Int8Columns& columns,
                   int first_column, int n, float* sums) {
  if constexpr (kN > 0) {
    if (n == kN) {
      multiply_tile<kN>(w, first_block, n_blocks, columns, first_column, sums);
    } else {
      multiply_rest<kN - 1>(w, first_block, n_blocks, columns, first_column, n, sums);
    }
  }
}

template <bool kHasFifthBit>
void multiply(const char* const* rows, const Int8Columns& columns, float* sums) {
  std::fill_n(sums, static_cast<size_t>(columns.n_columns) * kRows, 0.0F);
  const int n_blocks = columns.n_k / kInt8Block;
  Unpacked unpacked;
  for (int first = 0; first < n_blocks; first += kMaxBlocks) {
    const int n = std::min(kMaxBlocks, n_blocks - first);
    unpack<kHasFifthBit>(rows, first, n, unpacked);
    int c = 0;
    for (; c + kTile <= columns.n_columns; c += kTile) {
      multiply_tile<kTile>(unpacked, first, n, columns, c, sums);
    }
    multiply_rest<kTile - 1>(unpacked, first, n, columns, c, columns.n_columns - c, sums);
  }
}

}  // namespace

const Int8GemmKernels kVnniGemm{"avx512vnni", &quantize, &multiply<false>, &multiply<true>};

}  // namespace pyserve
