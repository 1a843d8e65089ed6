// The passes over a row, written once for vectors of whatever width. A short rest goes one by one.
//
// `V` is a vector's arithmetic (base/simd_avx2.h, say) and what is asked of its lanes: is_nan(x),
// either(flags, flags), any(flags); at_least(x, limit), an integer with one bit for each lane, of
// kBitsOfLane that belong to it.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "sample/row/kernels.h"

namespace pyserve {

template <typename V>
struct RowPasses {
  using Vec = typename V::Vec;
  static constexpr size_t kLanes = V::kLanes;
  static constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

  static bool block_max(const float* logits, size_t n, float* max) {
    typename V::Flags nan = V::no_flags();
    bool has_nan = false;
    for (size_t begin = 0; begin < n; begin += kBlock) {
      const size_t end = std::min(begin + kBlock, n);
      Vec best = V::set1(kMinusInfinity);
      size_t i = begin;
      for (; i + kLanes <= end; i += kLanes) {
        const Vec x = V::load(logits + i);
        nan = V::either(nan, V::is_nan(x));
        best = V::max(best, x);
      }
      float top = V::reduce_max(best);
      for (; i < end; ++i) {
        has_nan |= std::isnan(logits[i]);
        top = std::max(top, logits[i]);
      }
      max[begin / kBlock] = top;
    }
    return !has_nan && !V::any(nan);
  }

  static void exp_values(const float* logits, size_t n, float scale, float max, float* out) {
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const Vec y = V::sub(V::load(logits + i), V::set1(max));
      V::store(out + i, V::exp(V::mul(y, V::set1(scale))));
    }
    for (; i < n; ++i) out[i] = std::exp((logits[i] - max) * scale);
  }

  static void block_exp_sum(const float* logits, size_t n, float scale, const float* max,
                            float* sum) {
    for (size_t begin = 0; begin < n; begin += kBlock) {
      const size_t b = begin / kBlock;
      sum[b] = 0;
      if (max[b] == kMinusInfinity) continue;
      const size_t end = std::min(begin + kBlock, n);
      const Vec top = V::set1(max[b]);
      Vec total = V::zero();
      size_t i = begin;
      for (; i + kLanes <= end; i += kLanes) {
        const Vec y = V::sub(V::load(logits + i), top);
        total = V::add(total, V::exp(V::mul(y, V::set1(scale))));
      }
      sum[b] = V::reduce_add(total);
      for (; i < end; ++i) sum[b] += std::exp((logits[i] - max[b]) * scale);
    }
  }

  static size_t collect(const float* logits, size_t n, float threshold, int32_t base, int32_t* ids,
                        float* values) {
    const Vec limit = V::set1(threshold);
    size_t n_found = 0;
    const auto take = [&](size_t i) {
      ids[n_found] = base + static_cast<int32_t>(i);
      values[n_found++] = logits[i];
    };
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      auto bits = V::at_least(V::load(logits + i), limit);
      for (; bits != 0; bits &= bits - 1) {
        take(i + static_cast<size_t>(std::countr_zero(bits)) / V::kBitsOfLane);
      }
    }
    for (; i < n; ++i) {
      if (logits[i] >= threshold) take(i);
    }
    return n_found;
  }

  static consteval RowKernels kernels(const char* name) {
    return {name, block_max, block_exp_sum, exp_values, collect};
  }
};

}  // namespace pyserve
