// GEGLU, written once for every vector width.
#pragma once

#include <algorithm>

namespace pyserve {

template <typename Simd>
struct Geglu {
  using Vec = typename Simd::Vec;
  static constexpr int kLanes = Simd::kLanes;

  // x / (1 + exp(-2u)) with u = sqrt(2 / pi) * (x + 0.044715 x^3), which is the tanh form. With
  // e = exp(-2 |u|) both signs of x are a quotient without large numbers.
  static Vec gelu(Vec x) {
    // Below -100 the result is 0. The order of operands lets NaN through.
    x = Simd::max(Simd::set1(-100.0F), x);
    const Vec minus_x = Simd::sub(Simd::zero(), x);
    const Vec slope = Simd::fmadd(Simd::mul(x, x), Simd::set1(kCubic), Simd::set1(kLinear));
    const Vec e = Simd::exp(Simd::mul(Simd::sub(Simd::zero(), Simd::max(minus_x, x)), slope));
    const Vec above = Simd::max(Simd::zero(), x);
    const Vec below = Simd::mul(Simd::max(Simd::zero(), minus_x), e);
    return Simd::div(Simd::sub(above, below), Simd::add(Simd::set1(1.0F), e));
  }

  static void run(const float* x, const float* gate, int n, float* y) {
    int i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      Simd::store(y + i, Simd::mul(gelu(Simd::load(x + i)), Simd::load(gate + i)));
    }
    if (i == n) return;
    float last[kLanes] = {};
    float last_gate[kLanes] = {};
    std::copy(x + i, x + n, last);
    std::copy(gate + i, gate + n, last_gate);
    Simd::store(last, Simd::mul(gelu(Simd::load(last)), Simd::load(last_gate)));
    std::copy_n(last, n - i, y + i);
  }

 private:
  static constexpr float kLinear = 1.5957691216057308F;  // 2 sqrt(2 / pi)
  static constexpr float kCubic = 0.044715F * kLinear;
};

}  // namespace pyserve
