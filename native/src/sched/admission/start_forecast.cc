#include "sched/admission/start_forecast.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>

namespace pyserve {
namespace {

constexpr double kMemoryMs = 10'000;
// Before, while everybody's prompt is computed, answers seem to be slower than they will be.
constexpr double kLeastTokens = 32;
// And the first answers to end are short ones.
constexpr int kLeastEnds = 4;
using End = std::pair<double, int>;  // when, and the cells that are free then

}  // namespace

void StartForecast::Pace::fade(double factor) {
  ms *= factor;
  n_tokens *= factor;
}

void StartForecast::observe_step(double step_ms, int n_prompt, int n_said, int n_answering) {
  const double factor = std::exp(-step_ms / kMemoryMs);
  if (n_prompt > 0) {
    prompt_.fade(factor);
    prompt_.ms += step_ms;
    prompt_.n_tokens += n_prompt;
  }
  if (n_answering > 0) {
    answer_.fade(factor);
    answer_.ms += step_ms * n_answering;
    answer_.n_tokens += n_said;
  }
}

std::vector<double> StartForecast::start_ms(std::span<const LoadView> running,
                                            std::span<const LoadView> waiting,
                                            RoomView room) const {
  if (!is_known(room.n_slots)) return {};
  std::priority_queue<End, std::vector<End>, std::greater<>> ends;
  double now_ms = 0, prompts_ms = 0;  // when the prompts of those that run are computed
  const auto run = [&](const LoadView& load) {
    double begin_ms = now_ms;
    if (load.n_prompt > 0) {
      prompts_ms = std::max(prompts_ms, now_ms) + load.n_prompt * prompt_.ms_per_token();
      begin_ms = prompts_ms;
    }
    ends.push({begin_ms + answer_ms(load), load.n_cells});
  };
  for (const LoadView& load : running) run(load);
  int64_t n_cells = room.n_cells;
  std::vector<double> starts_ms;
  for (const LoadView& load : waiting) {
    const auto must_wait = [&] {
      return static_cast<int>(ends.size()) >= room.n_slots || n_cells < load.n_cells;
    };
    while (!ends.empty() && must_wait()) {
      now_ms = std::max(now_ms, ends.top().first);
      n_cells += ends.top().second;
      ends.pop();
    }
    starts_ms.push_back(now_ms);
    n_cells -= load.n_cells;
    run(load);
  }
  return starts_ms;
}

bool StartForecast::is_known(int n_slots) const {
  return answer_.n_tokens >= kLeastTokens && prompt_.n_tokens > 0 &&
         lengths_.n_seen() >= static_cast<size_t>(std::min(n_slots, kLeastEnds));
}

double StartForecast::answer_ms(const LoadView& load) const {
  return lengths_.expected_more(load.n_said, load.n_left) * answer_.ms_per_token();
}

}  // namespace pyserve
