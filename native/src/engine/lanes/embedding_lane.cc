#include "engine/lanes/embedding_lane.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace pyserve {
namespace {

// The vendor keeps a row of logits for every token of a step, although none is computed.
// They take memory as prompts need it.
constexpr int64_t kMaxLogitBytes = int64_t{64} * 1024 * 1024;
constexpr int64_t kMaxWholeLogitBytes = int64_t{1024} * 1024 * 1024;  // of a prompt in one step
constexpr int kMinStep = 32;
constexpr int kYieldingStep = 64;
constexpr int kDeterministicStep = 32;

int step_tokens(const Model& model, const EngineConfig& config) {
  if (config.is_deterministic && !model.is_bidirectional()) return kDeterministicStep;
  const int64_t row_bytes = model.n_vocab() * static_cast<int64_t>(sizeof(float));
  const int64_t n_bytes = model.is_bidirectional() ? kMaxWholeLogitBytes : kMaxLogitBytes;
  const auto n_fit = static_cast<int>(std::min<int64_t>(n_bytes / row_bytes, 1 << 16));
  return std::max(std::min(config.n_batch, n_fit), kMinStep);
}

// What others have computed of a prompt is enough of it.
bool can_share(const Model& model, const EngineConfig& config) {
  return model.pooling() == Pooling::kLast && !model.is_bidirectional() && !config.is_deterministic;
}

EngineConfig for_embeddings(const Model& model, EngineConfig config, int n_ctx) {
  config.n_ctx = n_ctx;
  config.n_kv = n_ctx;
  config.n_batch = std::min(step_tokens(model, config), n_ctx);
  if (config.is_deterministic) config.n_seq_max = 1;
  if (can_share(model, config)) ++config.n_seq_max;  // for what is kept
  config.prefix_cache_mib = 0;
  return config;
}

ErrorInfo too_long_error(int n_prompt, int n_most) {
  ErrorInfo error{ErrorCode::kContextLengthExceeded, {}, {}, {}};
  error.message = "the input has " + std::to_string(n_prompt) +
                  " tokens; the model computes an input in one step, which has at most " +
                  std::to_string(n_most);
  error.details = {{"n_prompt_tokens", n_prompt}, {"n_ctx", n_most}};
  return error;
}

ErrorInfo unusable_error() {
  return {ErrorCode::kNumeric, "the model gave NaN or infinity, or nothing but zeros", {}, {}};
}

bool is_cancelled(const RunningRequest& request) { return request.ticket().is_cancelled; }

}  // namespace

EmbeddingLane::EmbeddingLane(const Model& model, const EngineConfig& config, const Context& threads)
    : model_(model),
      shares_(can_share(model, config)),
      config_(for_embeddings(model, config, threads.n_ctx())),
      threads_(threads) {}

void EmbeddingLane::drop_cancelled(StepReport& report) {
  std::erase_if(waiting_, [&](const std::unique_ptr<RunningRequest>& request) {
    if (!is_cancelled(*request)) return false;
    report.fail(*request, cancelled_error());
    return true;
  });
  for (Running& running : running_) {
    if (!is_cancelled(*running.request)) continue;
    report.fail(*running.request, cancelled_error());
    running.is_over = true;
  }
  drop_over();
}

void EmbeddingLane::drop_expired(StepReport& report) {
  std::erase_if(waiting_, [&](const std::unique_ptr<RunningRequest>& request) {
    const double deadline_ms = request->params().deadline_ms;
    if (deadline_ms <= 0 || request->waited_ms() < deadline_ms) return false;
    report.fail(*request, deadline_error(*request));
    return true;
  });
}

void EmbeddingLane::step(StepReport& report) {
  drop_expired(report);
  if (is_idle() || (holds_background_ && !has_foreground()) || !open_context(report)) return;
  if (holds_background_) put_back_background();
  admit(report);
  const std::vector<BatchItem> items = plan();
  if (items.empty()) return;
  context_->set_adapters(running_.front().request->params().adapters);
  const TimePoint started_at = Clock::now();
  const DecodeStatus status = context_->decode(items);
  if (status == DecodeStatus::kGaveWay) {
    ++report.counters.n_gave_way;
    return;
  }
  if (status == DecodeStatus::kNoCells && undo_last()) return;
  if (status != DecodeStatus::kOk) {
    return end_planned(status == DecodeStatus::kAborted ? cancelled_error() : failed_step_error(),
                       report);
  }
  EngineStats& counters = report.counters;
  ++counters.n_steps;
  counters.n_step_requests += static_cast<int64_t>(items.size());
  for (const BatchItem& item : items) {
    counters.n_prompt_tokens += static_cast<int64_t>(item.tokens.size());
  }
  pool(report);
  counters.prompt_ms += elapsed_ms(started_at, Clock::now());
}

bool EmbeddingLane::has_foreground() const {
  return std::ranges::any_of(waiting_, is_foreground) ||
         std::ranges::any_of(running_, is_foreground, &Running::request);
}

// Those that have begun wait again, and begin anew.
void EmbeddingLane::put_back_background() {
  for (Running& running : running_) {
    if (is_foreground(running.request)) continue;
    context_->memory().truncate(running.request->progress().seq_id(), 0);
    running.request->progress().preempt();
    waiting_.push_front(std::move(running.request));
  }
  const auto is_gone = [](const Running& running) { return running.request == nullptr; };
  if (std::erase_if(running_, is_gone) > 0) is_full_ = false;
}

// A context that there is no memory for is the end of these requests, not of others.
bool EmbeddingLane::open_context(StepReport& report) {
  if (context_) return true;
  try {
    context_ = std::make_unique<Context>(model_, config_, &threads_, ContextOutput::kStates);
    context_->set_threads(config_.n_threads_batch);
    return true;
  } catch (const EngineError& error) {
    fail_all(error.info(), report);
    return false;
  }
}

void EmbeddingLane::admit(StepReport& report) {
  if (is_full_ && !running_.empty()) return;
  is_full_ = false;
  const int n_most = config_.n_seq_max - (shares_ ? 1 : 0);
  std::deque<std::unique_ptr<RunningRequest>> held;
  while (!waiting_.empty() && static_cast<int>(running_.size()) < n_most) {
    std::unique_ptr<RunningRequest> request = take_next();
    if (holds_background_ && !is_foreground(request)) {
      held.push_back(std::move(request));
      break;
    }
    if (!can_compute(*request, report)) continue;
    SharedBeginning shared = find_shared(*request);
    if (!has_cells_for(*request, shared)) {
      drop_kept();
      shared = find_shared(*request);
    }
    if (!has_cells_for(*request, shared)) {
      held.push_back(std::move(request));  // the first that does not fit ends it
      break;
    }
    if (shared.is_computed()) {
      start(std::move(request), shared, report);
    } else {
      held.push_back(std::move(request));
    }
  }
  waiting_.insert(waiting_.begin(), std::make_move_iterator(held.begin()),
                  std::make_move_iterator(held.end()));
}

// Of the cells that are shared those of the longest beginning count: there may be others, of
// prompts that are over. Then a step does not find its cells, and undo_last() makes room.
bool EmbeddingLane::has_cells_for(const RunningRequest& request,
                                  const SharedBeginning& shared) const {
  auto n_cells = static_cast<int>(kept_.tokens.size());
  int n_shared = shared.n_tokens();
  n_cells += request.progress().n_known() - n_shared;
  for (const Running& running : running_) {
    const RequestProgress& progress = running.request->progress();
    n_cells += progress.n_known() - running.n_shared;
    n_shared = std::max(n_shared, running.n_shared);
  }
  return n_cells + n_shared <= context_->n_kv();
}

// False: there is nothing to make room with.
bool EmbeddingLane::undo_last() {
  if (kept_.seq_id >= 0) {
    drop_kept();
    return true;
  }
  if (running_.size() < 2) return false;
  std::unique_ptr<RunningRequest> request = std::move(running_.back().request);
  running_.pop_back();
  context_->memory().truncate(request->progress().seq_id(), 0);
  request->progress().preempt();
  waiting_.push_front(std::move(request));
  is_full_ = true;
  return true;
}

SharedBeginning EmbeddingLane::find_shared(const RunningRequest& request) const {
  SharedBeginning shared(request.progress().tokens());
  if (!shares_ || request.params().is_deterministic || !context_->memory().can_share() ||
      !context_->memory().is_cuttable()) {
    return shared;
  }
  if (kept_.seq_id >= 0 && kept_.cache_key == request.cache_key()) {
    shared.offer(kept_.seq_id, kept_.tokens, static_cast<int>(kept_.tokens.size()));
  }
  for (const Running& running : running_) {
    const RunningRequest& other = *running.request;
    if (running.is_over || other.cache_key() != request.cache_key()) continue;
    shared.offer(other.progress().seq_id(), other.progress().tokens(),
                 other.progress().n_computed());
  }
  return shared;
}

void EmbeddingLane::start(std::unique_ptr<RunningRequest> request, const SharedBeginning& shared,
                          StepReport& report) {
  const SeqId seq_id = free_seq_id();
  if (shared.n_tokens() > 0) {
    context_->memory().share(shared.seq_id(), seq_id, 0, shared.n_tokens());
    ++report.counters.n_prefix_hits;
    report.counters.n_cached_tokens += shared.n_tokens();
  }
  request->progress().start(seq_id, shared.n_tokens());
  PooledState pooled(model_.pooling(), model_.n_embd_out());
  running_.push_back({std::move(request), std::move(pooled), shared.n_tokens()});
}

// The first of those with the highest priority, in the background only when all are.
std::unique_ptr<RunningRequest> EmbeddingLane::take_next() {
  const auto is_less_urgent = [](const auto& a, const auto& b) {
    return std::pair(is_foreground(a), a->params().priority) <
           std::pair(is_foreground(b), b->params().priority);
  };
  const auto next = std::max_element(waiting_.begin(), waiting_.end(), is_less_urgent);
  std::unique_ptr<RunningRequest> request = std::move(*next);
  waiting_.erase(next);
  return request;
}

bool EmbeddingLane::can_compute(const RunningRequest& request, StepReport& report) const {
  const int n_tokens = request.progress().n_known();
  if (model_.is_bidirectional() && n_tokens > config_.n_batch) {
    report.fail(request, too_long_error(n_tokens, config_.n_batch));
    return false;
  }
  return true;
}

SeqId EmbeddingLane::free_seq_id() const {
  SeqId seq_id = 0;
  const auto is_taken = [&](const Running& running) {
    return running.request->progress().seq_id() == seq_id;
  };
  while (seq_id == kept_.seq_id || std::any_of(running_.begin(), running_.end(), is_taken))
    ++seq_id;
  return seq_id;
}

std::vector<BatchItem> EmbeddingLane::plan() {
  const bool has_whole_prompts = model_.is_bidirectional();
  int n_left = config_.n_batch;
  if (yields_ && !has_whole_prompts) n_left = std::min(n_left, kYieldingStep);
  std::vector<BatchItem> items;
  for (Running& running : running_) {
    // All rows of a step have the same adapters: those of the oldest request.
    running.n_planned = 0;
    if (running.request->params().adapters != running_.front().request->params().adapters) continue;
    const int n_rest = running.request->progress().n_missing();
    running.n_planned = has_whole_prompts && n_rest > n_left ? 0 : std::min(n_rest, n_left);
    if (running.n_planned == 0) continue;
    n_left -= running.n_planned;
    items.push_back(running.request->batch_item(running.n_planned));
    items.back().n_logits = running.n_planned;
  }
  return items;
}

void EmbeddingLane::pool(StepReport& report) {
  size_t index = 0;
  for (Running& running : running_) {
    if (running.n_planned == 0) continue;
    RunningRequest& request = *running.request;
    for (int k = 0; k < running.n_planned; ++k) running.pooled.add(context_->state(index, k));
    ++index;
    request.progress().advance(running.n_planned);
    if (request.progress().n_missing() > 0) continue;
    std::vector<float> vector = numbers(running);
    if (vector.empty()) {
      report.fail(request, unusable_error());
    } else {
      report.add(request, request.finish_with(std::move(vector)));
    }
    running.is_over = true;
    if (shares_) keep(request);
  }
  drop_over();
}

// Empty when they cannot be used.
std::vector<float> EmbeddingLane::numbers(const Running& running) const {
  if (!running.request->params().wants_ranks) return running.pooled.normalized();
  const std::vector<float> state = running.pooled.state();
  if (state.empty()) return {};
  std::vector<float> ranks = model_.rank_head().apply(state);
  const auto is_finite = [](float rank) { return std::isfinite(rank); };
  return std::all_of(ranks.begin(), ranks.end(), is_finite) ? ranks : std::vector<float>();
}

void EmbeddingLane::keep(const RunningRequest& request) {
  drop_kept();
  const TokenSpan tokens = request.progress().tokens();
  kept_ = {request.progress().seq_id(), {tokens.begin(), tokens.end()}, request.cache_key()};
}

void EmbeddingLane::drop_kept() {
  if (kept_.seq_id >= 0) context_->memory().truncate(kept_.seq_id, 0);
  kept_ = {};
}

void EmbeddingLane::end_planned(ErrorInfo error, StepReport& report) {
  for (Running& running : running_) {
    if (running.n_planned == 0) continue;
    report.fail(*running.request, error);
    running.is_over = true;
  }
  drop_over();
}

void EmbeddingLane::drop_over() {
  std::erase_if(running_, [&](const Running& running) {
    const SeqId seq_id = running.request->progress().seq_id();
    if (running.is_over && seq_id != kept_.seq_id) context_->memory().truncate(seq_id, 0);
    if (running.is_over) is_full_ = false;
    return running.is_over;
  });
}

void EmbeddingLane::fail_all(const ErrorInfo& error, StepReport& report) {
  for (const std::unique_ptr<RunningRequest>& request : waiting_) report.fail(*request, error);
  waiting_.clear();
  for (Running& running : running_) {
    report.fail(*running.request, error);
    running.is_over = true;
  }
  drop_over();
}

void EmbeddingLane::count(EngineStats& stats) const {
  stats.n_running += static_cast<int64_t>(running_.size());
  stats.n_waiting += static_cast<int64_t>(waiting_.size());
  for (const Running& running : running_) note_adapters(*running.request, stats.running_adapters);
  for (const auto& request : waiting_) note_adapters(*request, stats.waiting_adapters);
}

}  // namespace pyserve
