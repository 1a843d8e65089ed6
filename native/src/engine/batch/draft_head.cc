#include "engine/batch/draft_head.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "sample/row/kernels.h"

namespace pyserve {
namespace {

// Fewer tokens are read along with the next guess.
constexpr int kMinRead = 32;

}  // namespace

DraftHead::DraftHead(const Model& model, Context& target, const EngineConfig& config,
                     std::unique_ptr<const Model> own)
    : config_(config),
      n_vocab_(model.n_vocab()),
      kind_(own != nullptr ? DraftKind::kEagle3 : DraftKind::kMtp),
      own_(std::move(own)),
      target_(target),
      context_(model, target, config, own_.get()),
      rows_(context_.n_state()),
      memory_(target.memory(), context_.memory(), rows_),
      last_(config.n_seq_max) {
  target_.keep(HeadContext::kept_states(own_.get()));
}

int64_t DraftHead::weight_bytes() const { return own_ != nullptr ? own_->info().size_bytes : 0; }

void DraftHead::observe(const std::vector<BatchItem>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    const BatchItem& item = items[i];
    rows_.truncate(item.seq_id, item.pos);
    for (int k = 0; k < static_cast<int>(item.tokens.size()); ++k) {
      target_.copy_kept(i, k, row_);
      rows_.add(item.seq_id, item.pos + k, row_);
    }
  }
}

void DraftHead::read_prompt(SeqId seq_id, TokenSpan computed) {
  const auto n_computed = static_cast<int>(computed.size());
  if (n_computed - context_.end(seq_id) >= kMinRead) read(seq_id, computed);
}

void DraftHead::read(SeqId seq_id, TokenSpan computed) {
  const auto n_computed = static_cast<int>(computed.size());
  std::vector<HeadItem> items;
  add_unread(seq_id, computed, n_computed, items);
  decode(items, false);
  // The state of the last one is what comes after it is computed from.
  rows_.drop_before(seq_id, n_computed - 1);
}

// What the head has not read of the first `end` tokens.
void DraftHead::add_unread(SeqId seq_id, TokenSpan tokens, int end, std::vector<HeadItem>& items) {
  int begin = context_.end(seq_id);
  if (begin >= end) return;
  if (begin == 0 || rows_.row(seq_id, begin - 1).empty()) {
    // A state between what it has and what comes is not known: it begins anew.
    context_.memory().truncate(seq_id, 0);
    begin = rows_.begin(seq_id) + 1;
  }
  for (int pos = begin; pos < end; ++pos) {
    const std::span<const float> state = rows_.row(seq_id, pos - 1);
    if (state.empty()) return;
    items.push_back({seq_id, pos, tokens[pos], state, false});
  }
}

std::vector<Proposal> DraftHead::guess(const std::vector<GuessWish>& wishes) {
  const TimePoint begin = Clock::now();
  std::vector<Proposal> proposals(wishes.size());
  // 1. What is new of the requests.
  std::vector<HeadItem> unread;
  for (const GuessWish& wish : wishes) {
    learn(wish);
    add_unread(wish.seq_id, wish.tokens, static_cast<int>(wish.tokens.size()) - 1, unread);
  }
  decode(unread, false);
  // 2. Token after token, of all requests at once.
  std::vector<Work> works;
  for (size_t i = 0; i < wishes.size(); ++i) {
    proposals[i].kind = kind_;
    if (auto work = begin_work(wishes[i], proposals[i])) works.push_back(std::move(*work));
  }
  int n_ahead = 0;
  while (guess_next(works, n_ahead)) ++n_ahead;
  // 3. What was only guessed is forgotten.
  for (const GuessWish& wish : wishes) {
    const auto n_known = static_cast<int>(wish.tokens.size());
    if (context_.end(wish.seq_id) > n_known) context_.memory().truncate(wish.seq_id, n_known);
  }
  for (size_t i = 0; i < wishes.size(); ++i) {
    last_[wishes[i].seq_id] = {wishes[i].tokens.size(), wishes[i].tokens.back(),
                               proposals[i].tokens};
    if (static_cast<int>(proposals[i].tokens.size()) < config_.n_draft_min) proposals[i] = {};
  }
  if (n_ahead > 0) times_[bucket(wishes.size())].push(elapsed_ms(begin, Clock::now()) / n_ahead);
  return proposals;
}

void DraftHead::learn(const GuessWish& wish) {
  const Guess guess = std::exchange(last_[wish.seq_id], {});
  if (guess.tokens.empty() || wish.tokens.size() <= guess.n_known) return;
  if (wish.tokens[guess.n_known - 1] != guess.last_known) return;
  record_.learn(wish.tokens, guess.n_known, guess.tokens);
}

std::optional<DraftHead::Work> DraftHead::begin_work(const GuessWish& wish, Proposal& proposal) {
  const int last = static_cast<int>(wish.tokens.size()) - 1;
  if (context_.end(wish.seq_id) > last) context_.memory().truncate(wish.seq_id, last);
  const std::span<const float> state = rows_.row(wish.seq_id, last - 1);
  const int end = context_.end(wish.seq_id);
  if (state.empty() || (end != 0 && end != last) || wish.n_max <= 0) return std::nullopt;
  return Work{&wish, &proposal, {state.begin(), state.end()}, wish.tokens.back(), true};
}

// Of every request that is open; false: none of them is any more.
bool DraftHead::guess_next(std::vector<Work>& works, int n_ahead) {
  std::erase_if(works, [](const Work& work) { return !work.is_open; });
  if (works.empty()) return false;
  std::vector<HeadItem> items;
  for (const Work& work : works) {
    const int pos = static_cast<int>(work.wish->tokens.size()) - 1 + n_ahead;
    items.push_back({work.wish->seq_id, pos, work.token, work.state, n_ahead > 0});
  }
  if (!decode(items, true)) return false;
  for (size_t i = 0; i < works.size(); ++i) take(works[i], static_cast<int>(i));
  return true;
}

void DraftHead::take(Work& work, int index) {
  double likelihood = 0;
  const Token token = best_token(index, likelihood);
  work.is_open = token >= 0 && token < n_vocab_ && likelihood >= config_.draft_p_min;
  if (!work.is_open) return;
  Proposal& proposal = *work.proposal;
  const double before = proposal.chances.empty() ? 1 : proposal.chances.back();
  proposal.tokens.push_back(token);
  proposal.chances.push_back(before * chance());
  work.token = token;
  const std::span<const float> state = context_.state(index);
  work.state.assign(state.begin(), state.end());
  work.is_open = static_cast<int>(proposal.tokens.size()) < work.wish->n_max;
}

// The likeliest token, < 0: the row is unusable.
Token DraftHead::best_token(int index, double& likelihood) {
  const RowKernels& kernels = row_kernels();
  const std::span<float> row = context_.logits(index);
  if (!scan_maxima(kernels, row, scratch_)) return -1;
  collect_best(kernels, row, 1, scratch_);
  likelihood = 1 / total_exp(kernels, row, 1, row_max(scratch_), scratch_);
  return scratch_.ranked.front().token;
}

// Sequences of a step that fails are read anew; where it has no room, all of them.
bool DraftHead::decode(const std::vector<HeadItem>& items, bool wants_outputs) {
  const auto n_batch = static_cast<size_t>(context_.n_batch());
  for (size_t begin = 0; begin < items.size(); begin += n_batch) {
    const size_t n = std::min(n_batch, items.size() - begin);
    const auto part = std::span(items).subspan(begin, n);
    const DecodeStatus status = context_.decode(part, wants_outputs);
    if (status == DecodeStatus::kOk) continue;
    for (const HeadItem& item : items) context_.memory().truncate(item.seq_id, 0);
    const auto n_sequences = static_cast<SeqId>(last_.size());
    for (SeqId id = 0; status == DecodeStatus::kNoCells && id < n_sequences; ++id) {
      context_.memory().truncate(id, 0);
    }
    return false;
  }
  return true;
}

size_t DraftHead::bucket(size_t n_wishes) {
  return std::min<size_t>(std::bit_width(n_wishes), kBuckets) - 1;
}

double DraftHead::guess_ms(int n_wishes) const {
  // What fewer took, where so many have not been seen yet.
  for (size_t i = bucket(n_wishes) + 1; i-- > 0;) {
    if (times_[i].size() > 0) return times_[i].median();
  }
  return 0;
}

}  // namespace pyserve
