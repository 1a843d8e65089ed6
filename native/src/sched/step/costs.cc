#include "sched/step/costs.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pyserve {
namespace {

constexpr int kFitEvery = 16;         // steps, once there are as many
constexpr double kHalfLife = 2000;    // steps until a sample counts half
constexpr int kPasses = 3;            // reweightings of a fit
constexpr int kSweeps = 150;          // over the coordinates, per reweighting
constexpr double kMinError = 0.01;    // relative; below it errors count as squares
constexpr double kInTime = 0.95;      // share of the steps that late_factor() is about
constexpr double kMostLate = 1.5;     // more is a disturbance, and no reason for shorter chunks
constexpr double kUnknownLate = 1.1;  // until some were seen
constexpr size_t kMinLateness = 5;
constexpr size_t kNumNewest = 3;
constexpr int kNumDecodeBuckets = 20;
constexpr int kNumPromptBuckets = 16;

// 0, 1, 2, 3, 4-5, 6-7, 8-11, 12-15, ...: two buckets for every doubling.
int bucket_of(int n, int n_buckets) {
  if (n < 2) return std::max(n, 0);
  const int log2 = std::bit_width(static_cast<unsigned>(n)) - 1;
  const int is_upper_half = (n >> (log2 - 1)) & 1;
  return std::min(2 * log2 + is_upper_half, n_buckets - 1);
}

template <size_t kSize>
double dot(const std::array<double, kSize>& a, const std::array<double, kSize>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

StepCosts::StepCosts() : shapes_(kNumDecodeBuckets * kNumPromptBuckets) {}

void StepCosts::observe(const StepSample& sample) {
  if (sample.n_decode + sample.n_prompt <= 0 || !(sample.step_ms > 0)) return;
  Shape& shape = shape_of(sample);
  Entry& entry = shape.entries[shape.n_seen++ % Shape::kSize];
  entry.features[kPrompt] = sample.n_prompt;
  entry.features[kRows] = sample.n_decode;
  entry.features[kContext] = static_cast<double>(sample.n_ctx_tokens);
  entry.features[kPromptContext] = static_cast<double>(sample.n_prompt_ctx_tokens);
  entry.features[kBase] = 1;
  entry.ms = sample.step_ms;
  entry.n_step = ++n_steps_;
  learn_lateness(sample);
  has_decoded_ = has_decoded_ || sample.n_decode > 0;
  if (n_steps_ < kFitEvery || n_steps_ % kFitEvery == 0) fit();
  learn_factors(sample);
}

double StepCosts::decode_ms(int n_rows, int64_t n_ctx_tokens) const {
  return decode_factor_ * fitted_decode_ms(n_rows, n_ctx_tokens);
}

double StepCosts::late_factor() const {
  if (lateness_.size() < kMinLateness) return kUnknownLate;
  return std::clamp(lateness_.quantile(kInTime), 1.0, kMostLate);
}

StepCosts::Shape& StepCosts::shape_of(const StepSample& sample) {
  // Prompts in whole doublings: from 16 on, where small batches stop being a case of their own.
  const int prompt = sample.n_prompt == 0 ? 0 : 1 + bucket_of(sample.n_prompt / 16, 64) / 2;
  return shapes_[bucket_of(sample.n_decode, kNumDecodeBuckets) * kNumPromptBuckets +
                 std::min(prompt, kNumPromptBuckets - 1)];
}

void StepCosts::fit() {
  // Least absolute errors by reweighted least squares: a sample counts less the more it is off.
  for (int pass = 0; pass < kPasses; ++pass) {
    Matrix gram{};
    Vector moment{};
    for (const Shape& shape : shapes_) {
      const size_t n = std::min(shape.n_seen, Shape::kSize);
      for (size_t i = 0; i < n; ++i) add_weighted(shape.entries[i], gram, moment);
    }
    solve(gram, moment);
  }
}

void StepCosts::add_weighted(const Entry& entry, Matrix& gram, Vector& moment) const {
  // Relative to the measurement: a step of 10 ms counts as much as one of a second.
  Vector x = entry.features;
  for (double& value : x) value /= entry.ms;
  const double age = static_cast<double>(n_steps_ - entry.n_step);
  const double error = std::max(std::abs(1 - dot(coefficients_, x)), kMinError);
  const double weight = std::exp2(-age / kHalfLife) / error;
  for (int i = 0; i < kNumFeatures; ++i) {
    for (int j = 0; j < kNumFeatures; ++j) gram[i][j] += weight * x[i] * x[j];
    moment[i] += weight * x[i];
  }
}

void StepCosts::solve(const Matrix& gram, const Vector& moment) {
  // Coordinate descent keeps every coefficient >= 0, and starts at what was right so far.
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (int i = 0; i < kNumFeatures; ++i) {
      if (gram[i][i] <= 0) continue;
      const double rest = dot(gram[i], coefficients_) - gram[i][i] * coefficients_[i];
      coefficients_[i] = std::max(0.0, (moment[i] - rest) / gram[i][i]);
    }
  }
}

void StepCosts::learn_lateness(const StepSample& sample) {
  if (sample.n_decode == 0 || sample.n_prompt == 0 || !has_decoded_) return;
  const double expected_ms =
      decode_ms(sample.n_decode, sample.n_ctx_tokens) + prompt_factor_ * fitted_prompt_ms(sample);
  if (expected_ms > 0) lateness_.push(sample.step_ms / expected_ms);
}

void StepCosts::learn_factors(const StepSample& sample) {
  if (sample.n_prompt == 0) {
    recent_decodes_[n_decodes_++ % recent_decodes_.size()] = sample;
  } else {
    recent_prompts_[n_prompts_++ % recent_prompts_.size()] = sample;
  }
  Recent<15> decode_errors;
  for (const StepSample& recent : recent_decodes_) {
    const double fitted = fitted_decode_ms(recent.n_decode, recent.n_ctx_tokens);
    if (recent.n_decode > 0 && fitted > 0) decode_errors.push(recent.step_ms / fitted);
  }
  if (decode_errors.size() > 0) decode_factor_ = decode_errors.median();
  Recent<15> prompt_errors;
  Recent<kNumNewest> newest;
  const size_t n_prompts = std::min(n_prompts_, recent_prompts_.size());
  for (size_t age = n_prompts; age > 0; --age) {
    const StepSample& recent = recent_prompts_[(n_prompts_ - age) % recent_prompts_.size()];
    const double fitted = fitted_prompt_ms(recent);
    const double rest = decode_ms(recent.n_decode, recent.n_ctx_tokens);
    // Beside many decodes a small chunk cannot be told from noise.
    if (fitted <= rest / 2) continue;
    prompt_errors.push(std::max(recent.step_ms - rest, 0.0) / fitted);
    newest.push(std::max(recent.step_ms - rest, 0.0) / fitted);
  }
  if (prompt_errors.size() == 0) return;
  // Two steps show that the machine has become slower; that it is faster again takes more of them.
  prompt_factor_ = std::max(prompt_errors.median(), newest.median());
}

double StepCosts::fitted_prompt_ms(const StepSample& sample) const {
  return coefficients_[kPrompt] * sample.n_prompt +
         coefficients_[kPromptContext] * static_cast<double>(sample.n_prompt_ctx_tokens);
}

double StepCosts::fitted_decode_ms(int n_rows, int64_t n_ctx_tokens) const {
  if (!has_decoded_) return 0;
  return coefficients_[kBase] + coefficients_[kRows] * n_rows +
         coefficients_[kContext] * static_cast<double>(n_ctx_tokens);
}

}  // namespace pyserve
