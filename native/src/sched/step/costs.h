// A model of what steps cost on this machine, learnt from the steps themselves.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sched/step/recent.h"

namespace pyserve {

// A step as it was measured.
struct StepSample {
  int n_decode = 0;          // rows of requests that decode
  int n_prompt = 0;          // prompt tokens
  int64_t n_ctx_tokens = 0;  // sum over the decode rows of the tokens each looks back at
  double step_ms = 0;
  int64_t n_prompt_ctx_tokens = 0;  // the same sum over the prompt tokens
};

// A step is modelled as base + decode rows + prompt tokens + what each of both looks back at, each
// at a cost >= 0.
//
// Samples are kept by the shape of their step, a few of each shape, so that a long time in one
// shape does not drive out what the others have taught. The fit minimises the sum of relative
// errors (not squares), so outliers do not move it. What the fit misses, a machine that has become
// slower or a shape that is not on the plane, is made up for by the median error of recent steps,
// of the last three with prompts where these show more.
// Costs are medians; late_factor() says how far steps are above them.
// Thread: engine thread only.
class StepCosts {
 public:
  StepCosts();

  // Steps without rows or time are ignored.
  void observe(const StepSample& sample);

  // A step that decodes `n_rows` with `n_ctx_tokens` behind them and no prompt. 0: unknown.
  double decode_ms(int n_rows, int64_t n_ctx_tokens) const;

  // What one prompt token adds to a step when it looks back at `n_ctx_tokens`. 0: unknown.
  double ms_per_prompt_token(double n_ctx_tokens = 0) const {
    return prompt_factor_ * (coefficients_[kPrompt] + coefficients_[kPromptContext] * n_ctx_tokens);
  }

  // 19 of 20 recent steps that decoded beside a prompt took at most this many times of what they
  // cost by the estimates before them. >= 1.
  double late_factor() const;

  // What `n_tokens` of prompt add to a step. 0: unknown.
  double prompt_ms(int n_tokens, double n_ctx_tokens = 0) const {
    return n_tokens * ms_per_prompt_token(n_ctx_tokens);
  }

 private:
  // Prompt tokens and rows first: what one shape alone cannot tell apart is put down to them.
  enum { kPrompt, kRows, kContext, kPromptContext, kBase, kNumFeatures };
  using Vector = std::array<double, kNumFeatures>;
  using Matrix = std::array<Vector, kNumFeatures>;
  struct Entry {
    Vector features{};
    double ms = 0;
    int64_t n_step = 0;
  };
  struct Shape {
    static constexpr size_t kSize = 8;
    std::array<Entry, kSize> entries;
    size_t n_seen = 0;
  };

  Shape& shape_of(const StepSample& sample);
  void fit();
  void add_weighted(const Entry& entry, Matrix& gram, Vector& moment) const;
  void solve(const Matrix& gram, const Vector& moment);
  void learn_lateness(const StepSample& sample);
  void learn_factors(const StepSample& sample);
  double fitted_prompt_ms(const StepSample& sample) const;
  double fitted_decode_ms(int n_rows, int64_t n_ctx_tokens) const;

  std::vector<Shape> shapes_;
  Vector coefficients_{};
  int64_t n_steps_ = 0;
  bool has_decoded_ = false;
  std::array<StepSample, 15> recent_decodes_{};
  std::array<StepSample, 15> recent_prompts_{};
  size_t n_decodes_ = 0;
  size_t n_prompts_ = 0;
  double decode_factor_ = 1;
  double prompt_factor_ = 1;
  Recent<30> lateness_;  // times to estimates
};

}  // namespace pyserve
