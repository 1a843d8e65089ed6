// Compiled with -mavx512f -mavx512dq -mavx512bw.

#include <bit>

#include "base/simd_avx512.h"
#include "kernels/attention/attention_simd.h"

namespace pyserve {
namespace {

int list_cells(const uint16_t* mask, int n, int32_t* cells) {
  int n_found = 0;
  for (int i = 0; i < n; i += 32) {
    const __mmask32 in_row =
        n - i >= 32 ? 0xFFFFFFFFU : static_cast<__mmask32>((1U << (n - i)) - 1);
    const __m512i values = _mm512_maskz_loadu_epi16(in_row, mask + i);
    const __m512i closed = _mm512_set1_epi16(static_cast<int16_t>(kMinusInfinity));
    __mmask32 open = _mm512_mask_cmpneq_epi16_mask(in_row, values, closed);
    for (; open != 0; open &= open - 1) cells[n_found++] = i + std::countr_zero(open);
  }
  return n_found;
}

}  // namespace

const AttentionKernels kAvx512Attention{"avx512", &Attention<Avx512>::attend,
                                        &Attention<Avx512>::merge, &list_cells};

}  // namespace pyserve
