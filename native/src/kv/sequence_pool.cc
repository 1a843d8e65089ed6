#include "kv/sequence_pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace pyserve {

int common_prefix(TokenSpan a, TokenSpan b) {
  const size_t limit = std::min(a.size(), b.size());
  const auto end = std::mismatch(a.begin(), a.begin() + limit, b.begin()).first;
  return static_cast<int>(end - a.begin());
}

SequencePool::SequencePool(int n_seq) : entries_(n_seq) {}

std::optional<SequencePool::Lease> SequencePool::acquire(TokenSpan tokens,
                                                         const std::string& tenant) {
  std::optional<Lease> lease = longest_prefix(tokens, tenant);
  if (!lease) {
    std::optional<SeqId> seq_id = first_empty();
    if (!seq_id) seq_id = least_recent_idle();
    if (!seq_id) return std::nullopt;
    lease = Lease{*seq_id, 0};
  }
  entries_[lease->seq_id] = Entry{State::kActive, {}, {}, 0};
  return lease;
}

void SequencePool::release(SeqId seq_id, std::vector<Token> tokens, std::string tenant) {
  Entry& entry = entries_.at(seq_id);
  PYSERVE_CHECK(entry.state == State::kActive);
  const State state = tokens.empty() ? State::kEmpty : State::kIdle;
  entry = Entry{state, std::move(tokens), std::move(tenant), ++n_releases_};
}

std::optional<SeqId> SequencePool::evict_lru() {
  const std::optional<SeqId> seq_id = least_recent_idle();
  if (seq_id) entries_[*seq_id] = Entry{};
  return seq_id;
}

int SequencePool::n_idle_tokens() const {
  size_t n = 0;
  for (const Entry& entry : entries_) n += entry.tokens.size();
  return static_cast<int>(n);
}

std::optional<SequencePool::Lease> SequencePool::longest_prefix(TokenSpan tokens,
                                                                const std::string& tenant) const {
  Lease best{-1, 0};
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.state != State::kIdle || entry.tenant != tenant) continue;
    const int n = common_prefix(entry.tokens, tokens);
    if (n > best.n_reused) best = {static_cast<SeqId>(i), n};
  }
  if (best.n_reused == 0) return std::nullopt;
  return best;
}

std::optional<SeqId> SequencePool::least_recent_idle() const {
  std::optional<SeqId> best;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].state != State::kIdle) continue;
    if (!best || entries_[i].released_at < entries_[*best].released_at) {
      best = static_cast<SeqId>(i);
    }
  }
  return best;
}

std::optional<SeqId> SequencePool::first_empty() const {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [](const Entry& entry) { return entry.state == State::kEmpty; });
  if (it == entries_.end()) return std::nullopt;
  return static_cast<SeqId>(it - entries_.begin());
}

}  // namespace pyserve
