// Chooses how many tokens of drafts the next step checks: pure policy.
#pragma once

#include <functional>
#include <limits>
#include <vector>

namespace pyserve {

struct DraftLimits {
  int n_rows_max = 0;      // of the step, those of the requests themselves included
  double min_gain = 0.03;  // of tokens per time, for which a step checks anything at all
  // Of a step that checks anything.
  double most_ms = std::numeric_limits<double>::infinity();
};

// Returns a number of tokens for each request of a step in which every one decodes; chances[i] are
// those of its next tokens, descending (see Draft::chances). `step_ms` is what a step of so many
// rows costs.
// The most probable tokens are taken first, as many as give the most tokens per time in a step that
// is not too long. So a step that is full of requests checks only what is nearly certain, or
// nothing.
std::vector<int> plan_drafts(const std::vector<std::vector<double>>& chances,
                             const DraftLimits& limits, const std::function<double(int)>& step_ms);

// How long a step of `n_requests` may take that checks drafts, where it takes `plain_ms` without
// and their tokens shall come `target_ms` apart. Where a step takes longer than the target anyway,
// half as long again; and of a single stream a pause that its reader does not notice.
double most_draft_ms(int n_requests, double target_ms, double plain_ms);

}  // namespace pyserve
