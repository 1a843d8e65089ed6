#include "engine/batch/draft_model.h"

#include <algorithm>
#include <cmath>

#include "pyserve/error.h"
#include "sample/row/kernels.h"

namespace pyserve {
namespace {

constexpr int kMaxExtraTokens = 128;  // by which vocabularies may differ, at their end
constexpr double kMaxSeen = 64;

EngineConfig draft_config(const Model& model, const Context& target, const EngineConfig& config) {
  EngineConfig draft = config;
  draft.model_path = config.draft_model_path;
  draft.rope = {};
  draft.overrides.clear();
  draft.adapter_paths.clear();
  draft.n_ctx = target.n_ctx();
  draft.n_kv = target.n_kv();
  draft.cache_type_k = draft.cache_type_v = "f16";
  if (config.n_bytes_available > 0) {
    const int64_t n_taken = model.info().size_bytes + target.kv_bytes() + target.compute_bytes();
    draft.n_bytes_available = std::max<int64_t>(config.n_bytes_available - n_taken, 1);
  }
  return draft;
}

EngineError unfit(const std::string& reason) {
  return EngineError(ErrorCode::kModelLoad, "the draft model cannot be used: " + reason);
}

}  // namespace

std::unique_ptr<DraftModel> DraftModel::load(const Model& model, const Context& target,
                                             const EngineConfig& config) {
  if (config.draft_model_path.empty()) return nullptr;
  return std::make_unique<DraftModel>(model, target, config);
}

DraftModel::DraftModel(const Model& model, const Context& target, const EngineConfig& config)
    : config_(draft_config(model, target, config)),
      model_(config_),
      context_(model_, config_, &target),
      n_vocab_(std::min(model.n_vocab(), model_.n_vocab())),
      sequences_(config.n_seq_max) {
  check_vocabulary(model);
  if (!context_.memory().can_undo()) throw unfit("it cannot take back a step");
}

void DraftModel::check_vocabulary(const Model& model) const {
  if (std::abs(model.n_vocab() - model_.n_vocab()) > kMaxExtraTokens) {
    throw unfit("it has " + std::to_string(model_.n_vocab()) + " tokens, the model " +
                std::to_string(model.n_vocab()));
  }
  for (Token token = 0; token < n_vocab_; ++token) {
    if (model.piece(token, true) == model_.piece(token, true)) continue;
    throw unfit("its token " + std::to_string(token) + " is another one than the model's");
  }
}

Proposal DraftModel::guess(SeqId seq_id, TokenSpan tokens, int n_max) {
  Proposal proposal;
  const int n_room = context_.n_ctx() - static_cast<int>(tokens.size());
  if (!read(seq_id, tokens) || n_room <= 0) return proposal;
  Sequence& sequence = sequences_[seq_id];
  double all = 1;
  for (int i = 0; i < std::min(n_max, n_room); ++i) {
    double likelihood = 0;
    const TimePoint begin = Clock::now();
    const Token token = best_token(likelihood);
    if (token < 0 || token >= n_vocab_ || likelihood < config_.draft_p_min) break;
    proposal.tokens.push_back(token);
    proposal.chances.push_back(all *= chance());
    if (i + 1 == n_max) break;
    if (!compute(seq_id, TokenSpan(&token, 1), 1)) break;
    ++sequence.n_guessed;
    times_.push(elapsed_ms(begin, Clock::now()));
  }
  if (static_cast<int>(proposal.tokens.size()) < config_.n_draft_min) return {};
  return proposal;
}

// Computes what is new of `tokens`, the last one always; false: not yet, or not possible.
bool DraftModel::read(SeqId seq_id, TokenSpan tokens) {
  Sequence& sequence = sequences_[seq_id];
  const auto n_same =
      static_cast<size_t>(std::mismatch(tokens.begin(), tokens.end(), sequence.computed.begin(),
                                        sequence.computed.end())
                              .first -
                          tokens.begin());
  learn(sequence, n_same, tokens.size());
  const size_t n_keep = std::min(n_same, tokens.size() - 1);
  context_.memory().truncate(seq_id, static_cast<int>(n_keep));
  sequence.computed.resize(n_keep);
  sequence.n_guessed = 0;
  const size_t n_next = std::min(tokens.size() - n_keep, static_cast<size_t>(config_.n_batch));
  const bool is_last = n_keep + n_next == tokens.size();
  return compute(seq_id, tokens.subspan(n_keep, n_next), is_last ? 1 : 0) && is_last;
}

// Guessed tokens came first after what was known: those that are still there were right.
void DraftModel::learn(const Sequence& sequence, size_t n_same, size_t n_tokens) {
  const size_t n_known = sequence.computed.size() - sequence.n_guessed;
  if (n_same < n_known || sequence.n_guessed == 0) return;
  const size_t n_right = n_same - n_known;
  const bool was_wrong = n_right < sequence.n_guessed && n_same < n_tokens;
  n_right_ += static_cast<double>(n_right);
  n_seen_ += static_cast<double>(n_right) + (was_wrong ? 1 : 0);
  if (n_seen_ > kMaxSeen) {
    n_right_ /= 2;
    n_seen_ /= 2;
  }
}

// A step that fails leaves nothing of the sequence; one without room, nothing of any.
bool DraftModel::compute(SeqId seq_id, TokenSpan tokens, int n_logits) {
  Sequence& sequence = sequences_[seq_id];
  const auto pos = static_cast<int>(sequence.computed.size());
  if (pos + static_cast<int>(tokens.size()) > context_.n_ctx()) return false;
  const DecodeStatus status = context_.decode({BatchItem{seq_id, pos, tokens, n_logits}});
  if (status == DecodeStatus::kOk) {
    sequence.computed.insert(sequence.computed.end(), tokens.begin(), tokens.end());
    return true;
  }
  for (SeqId id = 0; id < static_cast<SeqId>(sequences_.size()); ++id) {
    if (id != seq_id && status != DecodeStatus::kNoCells) continue;
    context_.memory().truncate(id, 0);
    sequences_[id] = {};
  }
  return false;
}

// The likeliest token after the last one computed, < 0: the row is unusable.
Token DraftModel::best_token(double& chance) {
  const RowKernels& kernels = row_kernels();
  const std::span<float> row = context_.logits(0, 0);
  if (!scan_maxima(kernels, row, scratch_)) return -1;
  collect_best(kernels, row, 1, scratch_);
  const float max = row_max(scratch_);
  chance = 1 / total_exp(kernels, row, 1, max, scratch_);
  return scratch_.ranked.front().token;
}

}  // namespace pyserve
