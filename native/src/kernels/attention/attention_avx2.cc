// Compiled with -mavx2 -mfma -mf16c.

#include <bit>

#include "base/simd_avx2.h"
#include "kernels/attention/attention_simd.h"

namespace pyserve {
namespace {

int list_cells(const uint16_t* mask, int n, int32_t* cells) {
  int n_found = 0;
  const __m256i closed = _mm256_set1_epi16(static_cast<int16_t>(kMinusInfinity));
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask + i));
    const __m256i is_closed = _mm256_cmpeq_epi16(values, closed);
    // Two equal bits for each cell.
    auto open = ~static_cast<uint32_t>(_mm256_movemask_epi8(is_closed)) & 0x55555555U;
    for (; open != 0; open &= open - 1) cells[n_found++] = i + std::countr_zero(open) / 2;
  }
  for (; i < n; ++i) {
    if (mask[i] != kMinusInfinity) cells[n_found++] = i;
  }
  return n_found;
}

}  // namespace

const AttentionKernels kAvx2Attention{"avx2", &Attention<Avx2>::attend, &Attention<Avx2>::merge,
                                      &list_cells};

}  // namespace pyserve
