#include "engine/batch/draft_model.h"

#include <algorithm>
#include <utility>

#include "pyserve/error.h"
#include "sample/row/kernels.h"

namespace pyserve {
namespace {

constexpr double kMaxSeen = 64;

}  // namespace

DraftModel::DraftModel(const Model& model, const Context& target, const EngineConfig& config,
                       std::unique_ptr<const Model> draft)
    : config_(config),
      model_(std::move(draft)),
      context_(*model_, config_, &target),
      n_vocab_(std::min(model.n_vocab(), model_->n_vocab())),
      sequences_(config.n_seq_max) {
  if (!context_.memory().can_undo()) {
    throw EngineError(ErrorCode::kModelLoad,
                      "the draft model cannot be used: it cannot take back a step");
  }
}

std::vector<Proposal> DraftModel::guess(const std::vector<GuessWish>& wishes) {
  std::vector<Proposal> proposals;
  for (const GuessWish& wish : wishes) {
    proposals.push_back(guess(wish.seq_id, wish.tokens, wish.n_max));
  }
  return proposals;
}

Proposal DraftModel::guess(SeqId seq_id, TokenSpan tokens, int n_max) {
  Proposal proposal;
  proposal.kind = DraftKind::kModel;
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
