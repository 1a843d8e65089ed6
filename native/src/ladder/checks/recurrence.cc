// Rows of states and convolutions of recurrent layers.

#include "kernels/recurrence/recurrence.h"

#include <functional>
#include <string>
#include <vector>

#include "ladder/proof.h"
#include "ladder/small_graph.h"

namespace pyserve {
namespace {

constexpr int kRows = 5;
constexpr int kTokens = 3;

// Numbers for every token and row, and what a kernel makes of them.
struct Example {
  explicit Example(int n_values)
      : n(n_values),
        vectors(Numbers(9).many(static_cast<size_t>(5) * kTokens * n)),
        inputs(Numbers(10).many(size_t{kRows} * kTokens)),
        factors(Numbers(11).many(kTokens)),
        before(Numbers(12).many(static_cast<size_t>(kRows) * n)),
        after(before.size()),
        y(size_t{kRows} * kTokens) {}

  StateRows state() { return {before.data(), after.data(), 0, 1, n, kRows, kTokens}; }
  TokenFloats vector(int i) const {
    return {vectors.data() + static_cast<size_t>(i) * kTokens * n, static_cast<size_t>(n)};
  }
  TokenFloats input() const { return {inputs.data(), kRows}; }
  TokenFloats factor() const { return {factors.data(), 1}; }

  using Step = std::function<double(std::vector<double>& state, int token, double input)>;

  // Whether the kernel has made what `step` makes, one token and row after the other.
  bool agrees_with(const Step& step) const {
    for (int row = 0; row < kRows; ++row) {
      const auto from = before.begin() + static_cast<ptrdiff_t>(row) * n;
      std::vector<double> state(from, from + n);
      for (int t = 0; t < kTokens; ++t) {
        if (!is_near(y[t * kRows + row], step(state, t, input().of(t)[row]), n)) return false;
      }
      for (int i = 0; i < n; ++i) {
        if (!is_near(after[static_cast<size_t>(row) * n + i], state[i], n)) return false;
      }
    }
    return true;
  }

  int n;
  std::vector<float> vectors, inputs, factors, before, after, y;
};

double dot(const std::vector<double>& state, const float* x) {
  double sum = 0;
  for (size_t i = 0; i < state.size(); ++i) sum += state[i] * x[i];
  return sum;
}

bool is_scan_right(const RecurrenceKernels& kernels, int n) {
  Example e(n);
  const TokenFloats b = e.vector(0);
  const TokenFloats c = e.vector(1);
  kernels.scan({e.state(), b, c, e.input(), e.factor(), e.factor(), e.y.data(), kRows});
  return e.agrees_with([&](std::vector<double>& state, int t, double x) {
    const double factor = *e.factor().of(t);
    for (int i = 0; i < n; ++i) state[i] = state[i] * factor + x * factor * b.of(t)[i];
    return dot(state, c.of(t));
  });
}

bool is_delta_right(const RecurrenceKernels& kernels, int n, bool is_decay_of_each) {
  Example e(n);
  const TokenFloats q = e.vector(0);
  const TokenFloats k = e.vector(1);
  const TokenFloats decay = is_decay_of_each ? e.vector(2) : e.factor();
  constexpr float kScale = 0.125F;
  kernels.delta(
      {e.state(), q, k, e.input(), decay, e.factor(), kScale, is_decay_of_each, e.y.data(), kRows});
  return e.agrees_with([&](std::vector<double>& state, int t, double v) {
    for (int i = 0; i < n; ++i) state[i] *= decay.of(t)[is_decay_of_each ? i : 0];
    const double change = (v - dot(state, k.of(t))) * *e.factor().of(t);
    for (int i = 0; i < n; ++i) state[i] += change * k.of(t)[i];
    return dot(state, q.of(t)) * kScale;
  });
}

bool is_wkv_right(const RecurrenceKernels& kernels, int n) {
  Example e(n);
  kernels.wkv({e.state(), e.vector(0), e.vector(1), e.vector(2), e.vector(3), e.vector(4),
               e.input(), e.y.data(), kRows});
  return e.agrees_with([&](std::vector<double>& state, int t, double v) {
    const double removed = dot(state, e.vector(3).of(t));
    for (int i = 0; i < n; ++i) {
      state[i] = state[i] * e.vector(1).of(t)[i] + v * e.vector(2).of(t)[i] +
                 removed * e.vector(4).of(t)[i];
    }
    return dot(state, e.vector(0).of(t));
  });
}

bool is_convolution_right(const RecurrenceKernels& kernels) {
  constexpr int kTaps = 4;
  constexpr int kChannels = 37;
  constexpr int kSteps = 20;
  constexpr int kRow = kSteps + kTaps - 1;
  const std::vector<float> columns = Numbers(13).many(size_t{kRow} * kChannels);
  const std::vector<float> taps = Numbers(14).many(size_t{kTaps} * kChannels);
  std::vector<float> x(columns.size());
  std::vector<float> y(size_t{kSteps} * kChannels);
  kernels.transpose({columns.data(), kChannels, x.data(), kRow, kChannels, kRow});
  kernels.convolve({x.data(), kRow, taps.data(), kTaps, kChannels, kSteps, y.data(), kChannels});
  for (int t = 0; t < kSteps; ++t) {
    for (int c = 0; c < kChannels; ++c) {
      double sum = 0;
      for (int i = 0; i < kTaps; ++i) {
        sum += static_cast<double>(columns[(t + i) * kChannels + c]) * taps[c * kTaps + i];
      }
      if (!is_near(y[t * kChannels + c], sum, kTaps)) return false;
    }
  }
  return true;
}

}  // namespace

std::string check_recurrence(Rung rung) {
  const RecurrenceKernels& kernels = *recurrence_kernels(rung);
  for (const int n : {16, 64, 128}) {
    const std::string of = " of rows of " + std::to_string(n) + " is wrong";
    if (!is_scan_right(kernels, n)) return "a scan" + of;
    for (const bool is_of_each : {false, true}) {
      if (!is_delta_right(kernels, n, is_of_each)) return "a delta net" + of;
    }
    if (!is_wkv_right(kernels, n)) return "RWKV" + of;
  }
  return is_convolution_right(kernels) ? "" : "a convolution is wrong";
}

}  // namespace pyserve
