// Chooses how many tokens of drafts the next step checks: pure policy.
#pragma once

#include <functional>
#include <vector>

namespace pyserve {

struct DraftLimits {
  int n_rows_max = 0;      // of the step, those of the requests themselves included
  double min_gain = 0.03;  // of tokens per time, for which a step checks anything at all
};

// Returns a number of tokens for each request of a step in which every one decodes; chances[i] are
// those of its next tokens, descending (see Draft::chances). `step_ms` is what a step of so many
// rows costs.
// The most probable tokens are taken first, as many as give the most tokens per time. So a
// step that is full of requests checks only what is nearly certain, or nothing.
std::vector<int> plan_drafts(const std::vector<std::vector<double>>& chances,
                             const DraftLimits& limits, const std::function<double(int)>& step_ms);

}  // namespace pyserve
