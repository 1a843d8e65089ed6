// NEON helpers, of every 64-bit ARM CPU.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <initializer_list>

namespace pyserve {

// One vector: what the matrix product has its sums in.
struct Neon {
  using Vec = float32x4_t;
  static constexpr int kLanes = 4;

  static Vec set1(float x) { return vdupq_n_f32(x); }
  static Vec load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Vec x) { vst1q_f32(p, x); }
  static Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
  static Vec fmadd(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
};

// Two vectors as one of 8 lanes, so that there is always something to do while one is waited for.
struct NeonPair {
  struct Vec {
    float32x4_t low;
    float32x4_t high;
  };
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;

  static Vec zero() { return set1(0); }
  static Vec set1(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
  static Vec load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
  static Vec load_f16(const uint16_t* p) {
    const float16x8_t halves = vreinterpretq_f16_u16(vld1q_u16(p));
    return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_f32_f16(vget_high_f16(halves))};
  }
  static Vec set1_f16(const uint16_t* p) {
    const float32x4_t x = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(*p)));
    return {x, x};
  }
  static Vec load_bf16(const uint16_t* p) {
    const uint16x8_t halves = vld1q_u16(p);
    return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
            vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(halves), 16))};
  }
  static Vec load_i8(const int8_t* p) {
    const int16x8_t wide = vmovl_s8(vld1_s8(p));
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))),
            vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide)))};
  }
  // Four bits of each byte, from bit `shift` on.
  static Vec load_u4(const uint8_t* p, int shift) {
    const uint8x8_t down = vshl_u8(vld1_u8(p), vdup_n_s8(static_cast<int8_t>(-shift)));
    const uint16x8_t wide = vmovl_u8(vand_u8(down, vdup_n_u8(15)));
    return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide))),
            vcvtq_f32_u32(vmovl_u16(vget_high_u16(wide)))};
  }
  static void store(float* p, Vec x) {
    vst1q_f32(p, x.low);
    vst1q_f32(p + 4, x.high);
  }
  static Vec add(Vec a, Vec b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
  static Vec sub(Vec a, Vec b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
  static Vec mul(Vec a, Vec b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
  static Vec div(Vec a, Vec b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
  // NaN when one of them is.
  static Vec max(Vec a, Vec b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
  static Vec fmadd(Vec a, Vec b, Vec c) {
    return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
  }

  static float reduce_add(Vec x) { return vaddvq_f32(vaddq_f32(x.low, x.high)); }
  static float reduce_max(Vec x) { return vmaxvq_f32(vmaxq_f32(x.low, x.high)); }

  // exp(x) for x <= 0, relative error below 1e-6; 0 below -87. 2^n * 2^f with a polynomial for 2^f.
  static Vec exp(Vec x) { return {exp4(x.low), exp4(x.high)}; }

  // Lanes in the order in which reduce_add_all puts them together, two by two.
  static constexpr int kSumOrder[] = {0, 1, 2, 3, 4, 5, 6, 7};

  // Lane j of x[i] becomes lane i of x[j], for i, j < 8.
  static void transpose(Vec* x) {
    float32x4_t low[kLanes];   // of rows [0, 4), then of rows [4, 8): columns 0 to 3
    float32x4_t high[kLanes];  // the same for columns 4 to 7
    for (int i = 0; i < kLanes; i += 4) {
      transpose4(x[i].low, x[i + 1].low, x[i + 2].low, x[i + 3].low, low + i);
      transpose4(x[i].high, x[i + 1].high, x[i + 2].high, x[i + 3].high, high + i);
    }
    for (int j = 0; j < 4; ++j) {
      x[j] = {low[j], low[4 + j]};
      x[4 + j] = {high[j], high[4 + j]};
    }
  }

  // sums[i] = sum of the lanes of x[i], for i < 8.
  static Vec reduce_add_all(const Vec* x) {
    const auto four = [](float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d) {
      return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
    };
    const float32x4_t low03 = four(x[0].low, x[1].low, x[2].low, x[3].low);
    const float32x4_t high03 = four(x[0].high, x[1].high, x[2].high, x[3].high);
    const float32x4_t low47 = four(x[4].low, x[5].low, x[6].low, x[7].low);
    const float32x4_t high47 = four(x[4].high, x[5].high, x[6].high, x[7].high);
    return {vaddq_f32(low03, high03), vaddq_f32(low47, high47)};
  }

 private:
  static float32x4_t exp4(float32x4_t x) {
    const float32x4_t n = vrndnq_f32(vmulq_f32(x, vdupq_n_f32(1.44269504088896341F)));
    // x - n ln 2, in two parts
    const float32x4_t f =
        vfmsq_f32(vfmsq_f32(x, n, vdupq_n_f32(0.693359375F)), n, vdupq_n_f32(-2.12194440e-4F));
    float32x4_t p = vdupq_n_f32(1.0F / 720.0F);
    for (const float c : {1.0F / 120.0F, 1.0F / 24.0F, 1.0F / 6.0F, 0.5F, 1.0F, 1.0F}) {
      p = vfmaq_f32(vdupq_n_f32(c), p, f);
    }
    // 2^n by its exponent bits; n >= -126 where the result is kept.
    const int32x4_t bits = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    const uint32x4_t is_kept = vcgeq_f32(x, vdupq_n_f32(-87.0F));
    const float32x4_t product = vmulq_f32(p, vreinterpretq_f32_s32(bits));
    return vreinterpretq_f32_u32(vandq_u32(is_kept, vreinterpretq_u32_f32(product)));
  }

  static void transpose4(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d,
                         float32x4_t* out) {
    const auto doubles = [](float32x4_t x) { return vreinterpretq_f64_f32(x); };
    const float64x2_t even01 = doubles(vtrn1q_f32(a, b));
    const float64x2_t odd01 = doubles(vtrn2q_f32(a, b));
    const float64x2_t even23 = doubles(vtrn1q_f32(c, d));
    const float64x2_t odd23 = doubles(vtrn2q_f32(c, d));
    out[0] = vreinterpretq_f32_f64(vtrn1q_f64(even01, even23));
    out[1] = vreinterpretq_f32_f64(vtrn1q_f64(odd01, odd23));
    out[2] = vreinterpretq_f32_f64(vtrn2q_f64(even01, even23));
    out[3] = vreinterpretq_f32_f64(vtrn2q_f64(odd01, odd23));
  }
};

}  // namespace pyserve
