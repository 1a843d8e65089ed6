#include "engine/batch/step_planner.h"

#include <algorithm>
#include <climits>
#include <limits>
#include <utility>

#include "base/process_usage.h"
#include "sched/draft/guess_policy.h"

namespace pyserve {
namespace {

constexpr int kMinPrefill = 16;
// Whoever comes while a prompt is computed and nobody reads waits for the end of the step.
constexpr double kAloneGaps = 4;  // as long as so many gaps
// Of a step of requests in the background: smaller ones take much longer for each token.
constexpr int kMinBackground = 64;
// Rows of a step with drafts: so many cost a few times one, and more are better used by requests.
constexpr int kMaxDraftRows = 16;
constexpr int kGuessEvery = 128;  // steps between trials of a guesser that does not pay
constexpr int kTrialGuesses = 2;
constexpr double kNoLimitMs = std::numeric_limits<double>::infinity();

ConcurrencyOptions concurrency_options(const EngineConfig& config) {
  ConcurrencyOptions options;
  options.n_max = config.n_seq_max;
  return options;
}

}  // namespace

StepPlanner::StepPlanner(const EngineConfig& config, const PrefixCache& cache, Guesser* guesser)
    : config_(config),
      cache_(cache),
      guesser_(guesser),
      row_costs_(kMaxDraftRows),
      concurrency_(concurrency_options(config)),
      turns_(config.max_token_gap_ms),
      n_background_most_(config.n_batch) {}

std::vector<RunningView> StepPlanner::views(const Running& running, bool holds_background) const {
  std::vector<RunningView> views;
  int n_scored = kMaxScored - static_cast<int>(running.size());
  for (const auto& request : running) {
    // Those that score a prompt share the rows of logits; the oldest gets what it can use.
    const bool is_held = holds_background && request->params().is_background;
    const bool is_due = !is_held && request->params().adapters == adapters_;
    const bool is_scoring = is_due && request->is_scoring();
    const int n_most = is_scoring ? std::max(n_scored, 0) : INT_MAX;
    const RequestProgress& progress = request->progress();
    RunningView view = progress.view(cache_.n_forked(progress.seq_id()), n_most);
    view.priority = request->params().priority;
    view.waited_ms = request->waited_ms();
    view.is_due = is_due;
    view.is_background = request->params().is_background;
    views.push_back(view);
    if (is_scoring) n_scored -= views.back().n_missing();
  }
  return views;
}

StepPlan StepPlanner::plan(const Running& running, bool holds_background) {
  std::vector<const AdapterSet*> sets;
  for (const auto& request : running) {
    if (!holds_background || !request->params().is_background) {
      sets.push_back(&request->params().adapters);
    }
  }
  if (sets.empty()) return {};
  adapters_ = turns_.next(sets, monotonic_ms());
  const std::vector<RunningView> views = this->views(running, holds_background);
  StepPlan plan = plan_step(views, limits(running, views));
  for (const PlanItem& item : plan.items) {
    if (views[item.index].is_decode()) running[item.index]->progress().set_turn(++n_turns_);
  }
  add_drafts(running, plan);
  const int n_rows = static_cast<int>(plan.items.size()) + n_drafted_;
  const int n_allowed = is_pure_decode_ ? config_.n_threads : config_.n_threads_batch;
  n_threads_ = threads_.plan(n_allowed, is_pure_decode_ ? n_rows : 0);
  return plan;
}

StepLimits StepPlanner::limits(const Running& running, const std::vector<RunningView>& views) {
  int n_decode = 0;
  int n_prompts = 0;
  int64_t n_ctx_tokens = 0;
  int n_depth = 0;  // of the deepest prompt
  double gap_ms = kNoLimitMs;
  is_pure_decode_ = true;
  for (size_t i = 0; i < views.size(); ++i) {
    const RunningView& view = views[i];
    if (view.is_prompt()) {
      n_depth = std::max(n_depth, running[i]->progress().n_computed());
      n_prompts += view.is_background ? 0 : 1;
    }
    if (view.is_decode()) {
      ++n_decode;
      n_ctx_tokens += view.n_known;
      gap_ms = std::min(gap_ms, this->gap_ms(*running[i]));
    }
    is_pure_decode_ = is_pure_decode_ && !view.is_prompt();
  }
  is_pure_decode_ = is_pure_decode_ && n_decode > 0;
  StepLimits limits;
  limits.n_batch = config_.n_batch;
  // Where decodes alone take most of the target, prompts get as much time as they do: in smaller
  // chunks few requests would ever decode together.
  const double decode_ms = costs_.decode_ms(n_decode, n_ctx_tokens);
  const double prompt_ms = costs_.ms_per_prompt_token(n_depth);
  const double most_ms = (gap_ms - rests_.median()) / costs_.late_factor();
  const double crowd = crowd_factor(n_prompts, n_decode);
  const double beside_ms = std::max(crowd * most_ms - decode_ms, crowd * decode_ms);
  limits.n_prefill = prefill_budget(prompt_ms, beside_ms, kMinPrefill, config_.n_batch);
  limits.n_alone = prefill_budget(prompt_ms, kAloneGaps * config_.max_token_gap_ms,
                                  std::min(kFullStep, config_.n_batch), config_.n_batch);
  // A step of the background that gives way is lost, and one that cannot is waited for.
  limits.n_background = prefill_budget(prompt_ms, config_.max_token_gap_ms,
                                       std::min(kMinBackground, config_.n_batch), config_.n_batch);
  limits.n_background = std::min(limits.n_background, n_background_most_);
  limits.n_cells_free = cache_.n_free_cells();
  if (is_pure_decode_) limits.n_decode_max = concurrency_.plan(n_decode);
  return limits;
}

// How far apart prompts may move the tokens of its answer.
double StepPlanner::gap_ms(const RunningRequest& request) const {
  const double own_ms = request.params().max_token_gap_ms;
  if (own_ms == 0) return kNoLimitMs;
  return std::max(own_ms, config_.max_token_gap_ms);
}

// Requests decode several tokens at once where that pays.
void StepPlanner::add_drafts(const Running& running, const StepPlan& plan) {
  n_drafted_ = 0;
  const size_t n_items = plan.items.size();
  std::vector<Proposal> proposals(n_items);
  std::vector<int> n_tokens(n_items);
  if (can_draft(plan)) n_tokens = choose_drafts(running, plan, proposals);
  for (size_t i = 0; i < n_items; ++i) {
    running[plan.items[i].index]->add_draft(proposals[i], n_tokens[i]);
    n_drafted_ += n_tokens[i];
  }
}

bool StepPlanner::can_draft(const StepPlan& plan) const {
  return is_pure_decode_ && plan.preempt.empty() && plan.items.size() < kMaxDraftRows &&
         cache_.can_undo();
}

// How many tokens of `proposals`, which it makes, the step checks.
std::vector<int> StepPlanner::choose_drafts(const Running& running, const StepPlan& plan,
                                            std::vector<Proposal>& proposals) {
  const auto n_items = static_cast<int>(plan.items.size());
  DraftLimits limits;
  limits.n_rows_max = std::min({kMaxDraftRows, config_.n_batch, cache_.n_free_cells()});
  StepMs step_ms = [](int /*n_rows*/) { return 1.0; };
  if (config_.drafts_always) {
    limits.min_gain = 0;
  } else {
    step_ms = [this](int n_rows) { return row_costs_.step_ms(n_rows); };
    double target_ms = kNoLimitMs;
    for (const PlanItem& item : plan.items) {
      target_ms = std::min(target_ms, gap_ms(*running[item.index]));
    }
    limits.most_ms = most_draft_ms(n_items, target_ms, step_ms(n_items));
    limits.n_rows_max = std::min(limits.n_rows_max, row_costs_.n_trial_max(limits.most_ms));
  }
  if (limits.n_rows_max <= n_items) return std::vector<int>(n_items);
  const TimePoint begin = Clock::now();
  proposals = propose(running, plan, limits, step_ms);
  limits.most_ms -= elapsed_ms(begin, Clock::now());
  std::vector<std::vector<double>> chances;
  for (const Proposal& proposal : proposals) chances.push_back(proposal.chances);
  return plan_drafts(chances, limits, step_ms);
}

// What was said before, or what the guesser says where that is likelier. The latter costs time even
// if nothing comes of it, so while it does not pay it is asked now and then.
std::vector<Proposal> StepPlanner::propose(const Running& running, const StepPlan& plan,
                                           const DraftLimits& limits, const StepMs& step_ms) {
  const auto n_items = static_cast<int>(plan.items.size());
  const int n_most = kMaxDraftRows - n_items;
  std::vector<Proposal> proposals;
  std::vector<GuessWish> wishes;
  std::vector<int> wishing;
  for (int i = 0; i < n_items; ++i) {
    const RunningRequest& request = *running[plan.items[i].index];
    proposals.push_back(request.propose());
    const std::vector<double>& chances = proposals.back().chances;
    const int n_max = request.n_draft_max();
    if (guesser_ == nullptr || n_max <= 0 || static_cast<int>(wishes.size()) >= n_most) continue;
    if (!chances.empty() && chances[0] >= guesser_->chance()) continue;
    wishes.push_back({request.progress().seq_id(), request.progress().tokens(), n_max});
    wishing.push_back(i);
  }
  const int n_ahead = wishes.empty() ? 0 : n_guesses(n_items, wishes, limits, step_ms);
  if (n_ahead == 0) return proposals;
  for (GuessWish& wish : wishes) wish.n_max = std::min(wish.n_max, n_ahead);
  std::vector<Proposal> guesses = guesser_->guess(wishes);
  for (size_t i = 0; i < guesses.size(); ++i) {
    if (!guesses[i].tokens.empty()) proposals[wishing[i]] = std::move(guesses[i]);
  }
  return proposals;
}

// How many tokens ahead for each wish; 0: it is not asked now.
int StepPlanner::n_guesses(int n_requests, const std::vector<GuessWish>& wishes,
                           const DraftLimits& limits, const StepMs& step_ms) {
  int n_most = 0;
  for (const GuessWish& wish : wishes) n_most = std::max(n_most, wish.n_max);
  if (config_.drafts_always) return std::min(n_most, std::max(kMaxDraftRows / n_requests - 1, 1));
  GuessChoice choice;
  choice.n_max = n_most;
  choice.n_requests = n_requests;
  choice.n_asked = static_cast<int>(wishes.size());
  choice.n_rows_max = limits.n_rows_max;
  choice.chance = guesser_->chance();
  choice.guess_ms = guesser_->guess_ms(choice.n_asked);
  choice.most_ms = limits.most_ms;
  int n_ahead = choose_guesses(choice, step_ms);
  if (n_ahead == 0 && ++n_unguessed_ >= kGuessEvery) n_ahead = kTrialGuesses;
  if (n_ahead > 0) n_unguessed_ = 0;
  return n_ahead;
}

StepSample StepPlanner::observe_decode(const Running& running, const StepPlan& plan,
                                       double decode_ms) {
  StepSample sample;
  sample.step_ms = decode_ms;
  for (const PlanItem& item : plan.items) {
    const RunningRequest& request = *running[item.index];
    if (request.progress().is_decode_of(item.n_tokens)) {
      const int n_rows = request.n_logits(item.n_tokens);
      sample.n_decode += n_rows;
      sample.n_ctx_tokens += int64_t{n_rows} * request.progress().n_known();
    } else {
      sample.n_prompt += item.n_tokens;
      sample.n_prompt_ctx_tokens +=
          int64_t{item.n_tokens} * (request.progress().n_computed() + item.n_tokens / 2);
    }
  }
  if (running[plan.items.front().index]->params().is_background) {
    n_background_most_ = std::min(2 * n_background_most_, config_.n_batch);
  }
  costs_.observe(sample);
  if (is_pure_decode_) row_costs_.observe(sample.n_decode, decode_ms);
  threads_.observe(decode_ms, monotonic_ms(), n_preemptions());
  return sample;
}

void StepPlanner::observe_way_given(const StepPlan& plan) {
  int n_tokens = 0;
  for (const PlanItem& item : plan.items) n_tokens += item.n_tokens;
  n_background_most_ = std::max(n_tokens / 2, std::min(kMinBackground, config_.n_batch));
}

void StepPlanner::observe_step(const StepPlan& plan, double step_ms, double gap_ms,
                               double decode_ms) {
  if (!is_pure_decode_) rests_.push(gap_ms - decode_ms);
  if (!is_pure_decode_ || has_drafts()) return;
  concurrency_.observe(static_cast<int>(plan.items.size()), step_ms);
}

}  // namespace pyserve
