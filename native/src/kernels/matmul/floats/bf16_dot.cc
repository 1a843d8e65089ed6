// Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512bf16.

#include "kernels/matmul/floats/bf16_dot.h"

#include <immintrin.h>

#include "base/simd_avx512.h"
#include "kernels/matmul/floats/gemm_simd.h"

namespace pyserve {
namespace {

// A lane adds the products of two neighbouring elements at once.
struct Pairs {
  using Simd = Avx512;
  using Number = uint16_t;
  static constexpr int kStep = 32;

  static void convert(const float* x, int n, uint16_t* out) {
    for (int k = 0; k < n; k += kStep) {
      const __m512bh both = _mm512_cvtne2ps_pbh(Avx512::load(x + k + 16), Avx512::load(x + k));
      _mm512_storeu_si512(out + k, reinterpret_cast<__m512i>(both));
    }
  }
  static __m512bh load_row(const char* row, int k) { return load(row + 2 * k); }
  static __m512bh load_column(const uint16_t* column, int k) { return load(column + k); }
  static __m512 add_products(__m512bh weights, __m512bh column, __m512 sums) {
    return _mm512_dpbf16_ps(sums, weights, column);
  }

 private:
  static __m512bh load(const void* from) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from));
  }
};

}  // namespace

void Bf16Dot::quantize(const float* x, int n_k, int8_t* q, float* d, int32_t* sums) {
  FloatGemm<Pairs, Pairs>::quantize(x, n_k, q, d, sums);
}

void Bf16Dot::multiply(const char* const* rows, const Int8Columns& columns, float* sums) {
  FloatGemm<Pairs, Pairs>::multiply(rows, columns, sums);
}

}  // namespace pyserve
