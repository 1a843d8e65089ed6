// Compiled with -march=armv8.2-a+dotprod+i8mm.

#include "kernels/matmul/int8/wide_neon.h"
#include "kernels/matmul/tables/weight_table.h"

namespace pyserve {
namespace {

// With products of matrices, 2 rows x 8 bytes with 2 columns x 8 bytes, which do twice as much at
// once as dot products do. One column has dot products.
struct I8mm : NeonDot {
  // Two quads of 4 rows become 8 bytes of 2 rows, twice.
  PYSERVE_WIDE void pair_rows(Ints* weights) {
    for (int j = 0; j < 8; j += 2) {
      const Ints first = weights[j];
      weights[j] = low32(first, weights[j + 1]);
      weights[j + 1] = high32(first, weights[j + 1]);
    }
  }

  // A block of kN columns, of which two are beside each other; an odd one is beside itself.
  template <int kN>
  struct PairedColumns {
    static constexpr int kPairs = (kN + 1) / 2;

    [[gnu::always_inline]] PairedColumns(const int8_t* const* q, int at) {
      for (int i = 0; i < kPairs; ++i) {
        const int8_t* const first = q[2 * i] + at;
        const int8_t* const second = q[2 * i + 1 < kN ? 2 * i + 1 : 2 * i] + at;
        for (int half = 0; half < 2; ++half) {
          const int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(first + 16 * half));
          const int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(second + 16 * half));
          x[i][2 * half] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
          x[i][2 * half + 1] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
        }
      }
    }

    // dots[c] += products of part p of the quads [kFirst, kFirst + kCount), which are paired.
    template <int kFirst, int kCount>
    [[gnu::always_inline]] void add_products(const Ints* weights, int p, Part* dots) const {
      for (int i = 0; i < kPairs; ++i) {
        Part sums01 = vdupq_n_s32(0);  // [row][column]
        Part sums23 = vdupq_n_s32(0);
        for (int j = kFirst; j < kFirst + kCount; j += 2) {
          sums01 = vmmlaq_s32(sums01, vreinterpretq_s8_s32(weights[j].parts[p]), x[i][j / 2]);
          sums23 = vmmlaq_s32(sums23, vreinterpretq_s8_s32(weights[j + 1].parts[p]), x[i][j / 2]);
        }
        dots[2 * i] = vaddq_s32(dots[2 * i], vuzp1q_s32(sums01, sums23));
        if (2 * i + 1 < kN) {
          dots[2 * i + 1] = vaddq_s32(dots[2 * i + 1], vuzp2q_s32(sums01, sums23));
        }
      }
    }

    int8x16_t x[kPairs][4];
  };

  template <int kN, bool kArePaired>
  using Columns =
      std::conditional_t<kArePaired, PairedColumns<kN>, NeonDot::Columns<kN, kArePaired>>;
};

}  // namespace

constinit const Int8GemmKernels kI8mmInt8Gemm = int8_gemm_kernels_of<I8mm>("i8mm");

}  // namespace pyserve
