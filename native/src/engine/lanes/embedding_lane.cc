#include "engine/lanes/embedding_lane.h"

#include <algorithm>
#include <utility>

namespace pyserve {
namespace {

// The vendor keeps a row of logits for every token of a step, although none is computed.
constexpr int64_t kMaxLogitBytes = int64_t{64} * 1024 * 1024;
constexpr int kMinStep = 32;
constexpr int kYieldingStep = 64;
constexpr int kDeterministicStep = 32;

int step_tokens(const Model& model, const EngineConfig& config) {
  if (config.is_deterministic && !model.is_bidirectional()) return kDeterministicStep;
  const int64_t row_bytes = model.n_vocab() * static_cast<int64_t>(sizeof(float));
  const auto n_fit = static_cast<int>(std::min<int64_t>(kMaxLogitBytes / row_bytes, 1 << 16));
  return std::max(std::min(config.n_batch, n_fit), kMinStep);
}

EngineConfig for_embeddings(const Model& model, EngineConfig config, int n_ctx) {
  config.n_ctx = n_ctx;
  config.n_kv = n_ctx;
  config.n_batch = std::min(step_tokens(model, config), n_ctx);
  if (config.is_deterministic) config.n_seq_max = 1;
  config.prefix_cache_mib = 0;
  return config;
}

ErrorInfo ranking_error() {
  return {ErrorCode::kInvalidRequest, "the model ranks texts and has no embeddings", "model", {}};
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
    : model_(model), config_(for_embeddings(model, config, threads.n_ctx())), threads_(threads) {}

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
  if (is_idle() || !open_context(report)) return;
  admit(report);
  const std::vector<BatchItem> items = plan();
  if (items.empty()) return;
  context_->set_adapters(running_.front().request->params().adapters);
  const TimePoint started_at = Clock::now();
  const DecodeStatus status = context_->decode(items);
  if (status != DecodeStatus::kOk) {
    return end_planned(status == DecodeStatus::kAborted ? cancelled_error() : failed_step_error(),
                       report);
  }
  EngineStats& counters = report.counters;
  ++counters.n_steps;
  for (const BatchItem& item : items) {
    counters.n_prompt_tokens += static_cast<int64_t>(item.tokens.size());
  }
  pool(report);
  counters.prompt_ms += elapsed_ms(started_at, Clock::now());
}

// A context that there is no memory for is the end of these requests, not of others.
bool EmbeddingLane::open_context(StepReport& report) {
  if (context_) return true;
  try {
    context_ = std::make_unique<Context>(model_, config_, &threads_, ContextOutput::kStates);
    return true;
  } catch (const EngineError& error) {
    fail_all(error.info(), report);
    return false;
  }
}

void EmbeddingLane::admit(StepReport& report) {
  int n_cells = 0;
  for (const Running& running : running_) n_cells += running.request->progress().n_known();
  while (!waiting_.empty() && static_cast<int>(running_.size()) < config_.n_seq_max) {
    std::unique_ptr<RunningRequest> request = take_next();
    if (!can_compute(*request, report)) continue;
    if (n_cells + request->progress().n_known() > context_->n_kv()) {
      waiting_.push_front(std::move(request));  // the first that does not fit ends it
      return;
    }
    n_cells += request->progress().n_known();
    request->progress().start(free_seq_id(), 0);
    running_.push_back({std::move(request), {model_.pooling(), model_.n_embd_out()}});
  }
}

// The first of those with the highest priority.
std::unique_ptr<RunningRequest> EmbeddingLane::take_next() {
  const auto is_less_urgent = [](const auto& a, const auto& b) {
    return a->params().priority < b->params().priority;
  };
  const auto next = std::max_element(waiting_.begin(), waiting_.end(), is_less_urgent);
  std::unique_ptr<RunningRequest> request = std::move(*next);
  waiting_.erase(next);
  return request;
}

bool EmbeddingLane::can_compute(const RunningRequest& request, StepReport& report) const {
  if (model_.pooling() == Pooling::kNone) {
    report.fail(request, ranking_error());
    return false;
  }
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
  while (std::any_of(running_.begin(), running_.end(), is_taken)) ++seq_id;
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
    std::vector<float> vector = running.pooled.normalized();
    if (vector.empty()) {
      report.fail(request, unusable_error());
    } else {
      report.events.push_back({request.ticket().id, request.finish_with(std::move(vector))});
    }
    running.is_over = true;
  }
  drop_over();
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
    if (running.is_over) context_->memory().truncate(running.request->progress().seq_id(), 0);
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
}

}  // namespace pyserve
