// Sixteen lanes of 4 bytes in four 128-bit vectors: what `Wide512` has, for 64-bit ARM, less what
// reads weights that the vendored library has repacked, which it does in another way there.
// Include only from files compiled with dot products (+dotprod).
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "base/simd_neon.h"
#include "kernels/matmul/int8/gemm.h"

namespace pyserve {

#define PYSERVE_WIDE [[gnu::always_inline]] static inline

struct WideNeon {
  using Part = int32x4_t;
  using Simd = Neon;
  static constexpr int kParts = 4;
  static constexpr bool kReadsX8 = false;
  struct Ints {
    int32x4_t parts[kParts];
  };
  struct Floats {
    float32x4_t parts[kParts];
  };

  PYSERVE_WIDE void prefetch(const char* from) { __builtin_prefetch(from, 0, 2); }
  PYSERVE_WIDE Part part(const Ints& x, int p) { return x.parts[p]; }
  PYSERVE_WIDE float32x4_t float_part(const Floats& x, int p) { return x.parts[p]; }

  PYSERVE_WIDE Ints bytes_of(int x) {
    return all_of(vreinterpretq_s32_s8(vdupq_n_s8(static_cast<int8_t>(x))));
  }
  PYSERVE_WIDE Ints ints_of(int32_t x) { return all_of(vdupq_n_s32(x)); }
  PYSERVE_WIDE Ints quarters_of(int d, int c, int b, int a) {
    const int32_t four[] = {a, b, c, d};
    return all_of(vld1q_s32(four));
  }
  PYSERVE_WIDE Ints and_bits(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return vandq_s32(x, y); });
  }
  PYSERVE_WIDE Ints or_bits(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return vorrq_s32(x, y); });
  }
  PYSERVE_WIDE Ints xor_bits(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return veorq_s32(x, y); });
  }
  PYSERVE_WIDE Ints add8(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return of_bytes(vaddq_u8(bytes(x), bytes(y))); });
  }
  template <int kBits>
  PYSERVE_WIDE Ints shift_right16(const Ints& x) {
    return each(x, [](Part part) { return of_halves(vshrq_n_u16(halves(part), kBits)); });
  }
  template <int kBits>
  PYSERVE_WIDE Ints shift_left16(const Ints& x) {
    return each(x, [](Part part) { return of_halves(vshlq_n_u16(halves(part), kBits)); });
  }
  PYSERVE_WIDE Ints shift_right16(const Ints& x, int n) { return shift_left16(x, -n); }
  PYSERVE_WIDE Ints shift_left16(const Ints& x, int n) {
    const int16x8_t by = vdupq_n_s16(static_cast<int16_t>(n));
    return each(x, [by](Part part) { return of_halves(vshlq_u16(halves(part), by)); });
  }
  PYSERVE_WIDE Ints shift_right32(const Ints& x, int n) { return shift_left32(x, -n); }
  PYSERVE_WIDE Ints shift_left32(const Ints& x, int n) {
    const int32x4_t by = vdupq_n_s32(n);
    return each(x, [by](Part part) {
      return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(part), by));
    });
  }
  PYSERVE_WIDE Ints shift_right32_signed(const Ints& x, int n) {
    const int32x4_t by = vdupq_n_s32(-n);
    return each(x, [by](Part part) { return vshlq_s32(part, by); });
  }
  PYSERVE_WIDE Ints shuffle8(const Ints& x, const Ints& from) {
    return both(x, from,
                [](Part part, Part at) { return of_bytes(vqtbl1q_u8(bytes(part), bytes(at))); });
  }
  PYSERVE_WIDE Ints low32(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return vzip1q_s32(x, y); });
  }
  PYSERVE_WIDE Ints high32(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return vzip2q_s32(x, y); });
  }
  PYSERVE_WIDE Ints low64(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return of_longs(vzip1q_s64(longs(x), longs(y))); });
  }
  PYSERVE_WIDE Ints high64(const Ints& a, const Ints& b) {
    return both(a, b, [](Part x, Part y) { return of_longs(vzip2q_s64(longs(x), longs(y))); });
  }
  // x + more in the bytes that have a bit in common with `bit`.
  PYSERVE_WIDE Ints add8_where(const Ints& x, const Ints& bits, const Ints& bit, const Ints& more) {
    const auto have_common = [](Part a, Part b) { return of_bytes(vtstq_u8(bytes(a), bytes(b))); };
    return add8(x, and_bits(both(bits, bit, have_common), more));
  }

  PYSERVE_WIDE Ints load(const char* from) {
    return each_place([from](int p) { return load16(from + 16 * p); });
  }
  PYSERVE_WIDE void store(const Ints& x, char* to) {
    for (int p = 0; p < kParts; ++p) {
      vst1q_u8(reinterpret_cast<uint8_t*>(to + 16 * p), bytes(x.parts[p]));
    }
  }
  PYSERVE_WIDE Ints load_every_fourth(const char* const* rows, size_t at, int r) {
    return each_place([&](int p) { return load16(rows[4 * p + r] + at); });
  }
  PYSERVE_WIDE Floats floats_of(const Ints& x) {
    return floats_each(x, [](Part part) { return vcvtq_f32_s32(part); });
  }
  // The 16-bit floats in the lower half of each lane.
  PYSERVE_WIDE Floats floats_of_low_halves(const Ints& x) {
    return floats_each(x, [](Part part) {
      return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(vreinterpretq_u32_s32(part))));
    });
  }
  PYSERVE_WIDE Floats bits_as_floats(const Ints& x) {
    return floats_each(x, [](Part part) { return vreinterpretq_f32_s32(part); });
  }
  PYSERVE_WIDE Floats mul(const Floats& a, const Floats& b) {
    Floats out;
    for (int p = 0; p < kParts; ++p) out.parts[p] = vmulq_f32(a.parts[p], b.parts[p]);
    return out;
  }
  PYSERVE_WIDE Floats minus(const Floats& x) {
    Floats out;
    for (int p = 0; p < kParts; ++p) out.parts[p] = vsubq_f32(vdupq_n_f32(0), x.parts[p]);
    return out;
  }

  PYSERVE_WIDE float top_of(const float* x, int n) {
    float32x4_t top = vdupq_n_f32(0);
    for (int i = 0; i < n; i += 4) top = vmaxq_f32(top, vabsq_f32(vld1q_f32(x + i)));
    return vmaxvq_f32(top);
  }
  PYSERVE_WIDE void round32(const float* x, float inverse, int8_t* q, int32_t* sums) {
    const float32x4_t scale = vdupq_n_f32(inverse);
    for (int half = 0; half < 2; ++half, x += 16, q += 16) {
      int32x4_t rounded[4];
      for (int i = 0; i < 4; ++i) {
        rounded[i] = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + 4 * i), scale));
      }
      const int16x8_t first = vcombine_s16(vqmovn_s32(rounded[0]), vqmovn_s32(rounded[1]));
      const int16x8_t last = vcombine_s16(vqmovn_s32(rounded[2]), vqmovn_s32(rounded[3]));
      vst1q_s8(q, vcombine_s8(vqmovn_s16(first), vqmovn_s16(last)));
      sums[half] = vaddvq_s32(
          vaddq_s32(vaddq_s32(rounded[0], rounded[1]), vaddq_s32(rounded[2], rounded[3])));
    }
  }

  PYSERVE_WIDE Part part_of(int32_t x) { return vdupq_n_s32(x); }
  PYSERVE_WIDE float32x4_t part_floats(Part x) { return vcvtq_f32_s32(x); }
  // Products of pairs of 16 bits, added up.
  PYSERVE_WIDE Part add_pairs(Part sums, Part a, Part b) {
    const int16x8_t x = vreinterpretq_s16_s32(a);
    const int16x8_t y = vreinterpretq_s16_s32(b);
    const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
    return vaddq_s32(sums, vpaddq_s32(low, vmull_high_s16(x, y)));
  }
  PYSERVE_WIDE Part add_scaled(Part sums, Part x, Part scale) { return vmlaq_s32(sums, x, scale); }

 protected:
  PYSERVE_WIDE Ints all_of(Part x) { return {{x, x, x, x}}; }
  template <typename Load>
  PYSERVE_WIDE Ints each_place(Load load) {
    return {{load(0), load(1), load(2), load(3)}};
  }
  template <typename Operation>
  PYSERVE_WIDE Ints each(const Ints& x, Operation operation) {
    return each_place([&](int p) { return operation(x.parts[p]); });
  }
  template <typename Operation>
  PYSERVE_WIDE Ints both(const Ints& a, const Ints& b, Operation operation) {
    return each_place([&](int p) { return operation(a.parts[p], b.parts[p]); });
  }
  template <typename Operation>
  PYSERVE_WIDE Floats floats_each(const Ints& x, Operation operation) {
    return {{operation(x.parts[0]), operation(x.parts[1]), operation(x.parts[2]),
             operation(x.parts[3])}};
  }
  PYSERVE_WIDE Part load16(const char* from) {
    return of_bytes(vld1q_u8(reinterpret_cast<const uint8_t*>(from)));
  }
  PYSERVE_WIDE uint8x16_t bytes(Part x) { return vreinterpretq_u8_s32(x); }
  PYSERVE_WIDE Part of_bytes(uint8x16_t x) { return vreinterpretq_s32_u8(x); }
  PYSERVE_WIDE uint16x8_t halves(Part x) { return vreinterpretq_u16_s32(x); }
  PYSERVE_WIDE Part of_halves(uint16x8_t x) { return vreinterpretq_s32_u16(x); }
  PYSERVE_WIDE int64x2_t longs(Part x) { return vreinterpretq_s64_s32(x); }
  PYSERVE_WIDE Part of_longs(int64x2_t x) { return vreinterpretq_s32_s64(x); }
};

// With dot products of four signed bytes. All weights fit: those of fewer bits are not negative,
// and below 128.
struct NeonDot : WideNeon {
  static constexpr int kTile = 4;
  static constexpr int kMinRepackedKColumns = kNever;
  static constexpr bool kHasDot = true;
  static constexpr bool kIsDotSigned = true;

  // A block of kN columns in registers, for all parts of the weights.
  template <int kN, bool /*kArePaired*/>
  struct Columns {
    [[gnu::always_inline]] Columns(const int8_t* const* q, int at) {
      for (int c = 0; c < kN; ++c) {
        x[c][0] = vld1q_s8(q[c] + at);
        x[c][1] = vld1q_s8(q[c] + at + 16);
      }
    }

    // dots[c] += products of part p of the quads [kFirst, kFirst + kCount).
    template <int kFirst, int kCount>
    [[gnu::always_inline]] void add_products(const Ints* weights, int p, Part* dots) const {
      if constexpr (kCount > 0) {
        const int8x16_t w = vreinterpretq_s8_s32(weights[kFirst].parts[p]);
        for (int c = 0; c < kN; ++c) {
          dots[c] = vdotq_laneq_s32(dots[c], w, x[c][kFirst / 4], kFirst % 4);
        }
        add_products<kFirst + 1, kCount - 1>(weights, p, dots);
      }
    }

    int8x16_t x[kN][2];
  };
};

}  // namespace pyserve
