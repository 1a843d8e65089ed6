#include <bit>

#include "base/simd_neon.h"
#include "kernels/attention/attention_simd.h"

namespace pyserve {
namespace {

int list_cells(const uint16_t* mask, int n, int32_t* cells) {
  int n_found = 0;
  const uint16x8_t closed = vdupq_n_u16(kMinusInfinity);
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const uint16x8_t is_open = vmvnq_u16(vceqq_u16(vld1q_u16(mask + i), closed));
    // One bit in the byte of each cell.
    uint64_t open = vget_lane_u64(vreinterpret_u64_u8(vmovn_u16(is_open)), 0) & 0x0101010101010101U;
    for (; open != 0; open &= open - 1) cells[n_found++] = i + std::countr_zero(open) / 8;
  }
  for (; i < n; ++i) {
    if (mask[i] != kMinusInfinity) cells[n_found++] = i;
  }
  return n_found;
}

}  // namespace

const AttentionKernels kNeonAttention{"neon", &Attention<NeonPair>::attend,
                                      &Attention<NeonPair>::merge, &list_cells};

}  // namespace pyserve
