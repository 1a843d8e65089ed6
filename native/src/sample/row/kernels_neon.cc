#include <arm_neon.h>

#include "base/simd_neon.h"
#include "sample/row/kernels_passes.h"
#include "sample/row/kernels_simd.h"

namespace pyserve {
namespace {

struct NeonRow : NeonPair {
  using Flags = uint32x4_t;
  static constexpr size_t kBitsOfLane = 8;

  static Flags no_flags() { return vdupq_n_u32(0); }
  static Flags is_nan(Vec x) {
    return vmvnq_u32(vandq_u32(vceqq_f32(x.low, x.low), vceqq_f32(x.high, x.high)));
  }
  static Flags either(Flags a, Flags b) { return vorrq_u32(a, b); }
  static bool any(Flags flags) { return vmaxvq_u32(flags) != 0; }
  static uint64_t at_least(Vec x, Vec limit) {
    const uint16x8_t hits = vcombine_u16(vmovn_u32(vcgeq_f32(x.low, limit.low)),
                                         vmovn_u32(vcgeq_f32(x.high, limit.high)));
    return vget_lane_u64(vreinterpret_u64_u8(vmovn_u16(hits)), 0) & 0x0101010101010101U;
  }
};

}  // namespace

constinit const RowKernels kNeonRowKernels = RowPasses<NeonRow>::kernels("neon");

}  // namespace pyserve
