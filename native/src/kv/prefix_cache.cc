#include "kv/prefix_cache.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "base/check.h"

namespace pyserve {
namespace {

// Shorter runs are computed again sooner than a copy of them is found and read.
constexpr int kMinCopiedTokens = 64;

}  // namespace

PrefixCache::PrefixCache(SequenceMemory& memory, const PrefixCacheLimits& limits)
    : memory_(memory),
      limits_(limits),
      tree_(memory.is_cuttable(), [&memory](SeqId pin) { return memory.fork_from(pin); }),
      store_(limits.n_pins > 0 ? limits.n_store_bytes : 0, memory.is_cuttable()),
      leases_(limits.n_active) {
  for (int i = limits.n_pins; i-- > 0;) free_pins_.push_back(limits.n_active + i);
  if (limits.has_pieces && memory.is_cuttable() && limits.n_pins > 1) {
    scratch_ = free_pins_.front();
    free_pins_.erase(free_pins_.begin());
  }
}

PrefixCache::Offer PrefixCache::offer(const std::string& key, TokenSpan tokens) const {
  const PrefixTree::Match match = tree_.match(key, tokens);
  const auto hit = better_copy(key, tokens, match);
  Offer offer;
  offer.n_cached = hit ? hit->n_tokens : n_usable(match);
  offer.n_shared = std::max(match.n_shared, offer.n_cached);
  offer.n_cells = static_cast<int>(tokens.size()) - n_usable(match) + match.n_unlocked;
  return offer;
}

// Leading tokens that a request need not compute.
int PrefixCache::n_usable(const PrefixTree::Match& match) const {
  const bool is_repeated = limits_.repeats_last && match.n_forked > 0 &&
                           memory_.fork_from(match.source) < match.n_forked;
  return match.n_forked - (is_repeated ? 1 : 0);
}

// A copy that has much more than the tree; while it is cut to size it needs cells for all it has.
std::optional<PrefixStore::Hit> PrefixCache::better_copy(const std::string& key, TokenSpan tokens,
                                                         const PrefixTree::Match& match) const {
  const auto hit = store_.find(key, tokens);
  if (!hit || hit->n_tokens < match.n_forked + kMinCopiedTokens) return std::nullopt;
  const auto n_stored = static_cast<int>(hit->entry->tokens.size());
  if (n_stored > n_free_cells() - match.n_unlocked) return std::nullopt;
  return hit;
}

std::optional<PrefixCache::Start> PrefixCache::acquire(const std::string& key, TokenSpan tokens) {
  const auto it = std::find_if(leases_.begin(), leases_.end(),
                               [](const Lease& other) { return !other.is_active; });
  if (it == leases_.end()) return std::nullopt;
  Start start{static_cast<SeqId>(it - leases_.begin()), 0, false};
  // 1. What the tree has.
  const PrefixTree::Match match = tree_.match(key, tokens);
  const auto hit = better_copy(key, tokens, match);
  const int n_forked = n_usable(match);
  *it = Lease{true, key, nullptr, n_forked, n_forked};
  if (n_forked > 0) {
    it->node = tree_.lock(key, tokens.first(n_forked));
    memory_.share(match.source, start.seq_id, 0, match.n_forked);
    memory_.share_state(match.source, start.seq_id, match.n_forked);
    if (n_forked < match.n_forked) memory_.repeat(start.seq_id, n_forked);
  }
  // 2. Or a copy.
  if (hit) start.is_restored = restore(start.seq_id, *hit);
  start.n_computed = it->n_computed;
  return start;
}

bool PrefixCache::restore(SeqId seq_id, const PrefixStore::Hit& hit) {
  Lease& lease = leases_[seq_id];
  store_.touch(hit);
  // NOTE: making room may put something in place of the entry.
  const std::vector<Token> tokens = hit.entry->tokens;
  const auto data = hit.entry->data;
  const auto n_stored = static_cast<int>(tokens.size());
  if (!make_room(n_stored)) return false;
  memory_.truncate(seq_id, 0);
  if (!memory_.restore(seq_id, *data)) {
    const std::string key = lease.key;
    end(seq_id);
    lease = Lease{true, key, nullptr, 0, 0};
    return false;
  }
  if (hit.n_tokens < n_stored) memory_.truncate(seq_id, hit.n_tokens);
  lease.n_computed = hit.n_tokens;
  if (limits_.repeats_last && memory_.is_cuttable()) {
    memory_.repeat(seq_id, --lease.n_computed);
  }
  if (lease.n_forked == 0) return true;
  // The tree has the first cells already.
  const SeqId cover = tree_.match(lease.key, TokenSpan(tokens).first(lease.n_forked)).cover;
  memory_.unshare(seq_id, 0, lease.n_forked);
  memory_.share(cover, seq_id, 0, lease.n_forked);
  return true;
}

bool PrefixCache::publish(SeqId seq_id, TokenSpan tokens) {
  Lease& lease = leases_.at(seq_id);
  const auto n_tokens = static_cast<int>(tokens.size());
  PYSERVE_CHECK(lease.is_active && n_tokens > 0 && n_tokens <= lease.n_computed);
  if (n_tokens <= lease.n_forked) return true;
  if (n_tokens < lease.n_computed && memory_.fork_from(seq_id) > n_tokens) return false;
  if (!pin(seq_id, tokens)) return false;
  const PrefixTree::Match match = tree_.match(lease.key, tokens);
  PrefixTree::Node* node = tree_.lock(lease.key, tokens);
  if (lease.node != nullptr) apply(tree_.unlock(lease.node));
  // The tree may have had some of these cells already, then the request's own are given up.
  memory_.unshare(seq_id, lease.n_forked, n_tokens);
  memory_.share(match.cover, seq_id, lease.n_forked, n_tokens);
  lease.node = node;
  lease.n_forked = n_tokens;
  return true;
}

// Adds the first tokens of an active sequence to the tree.
bool PrefixCache::pin(SeqId seq_id, TokenSpan tokens) {
  const std::string& key = leases_[seq_id].key;
  const auto n_tokens = static_cast<int>(tokens.size());
  if (tree_.match(key, tokens).n_forked == n_tokens) {
    tree_.unlock(tree_.lock(key, tokens));  // it was used
    return true;
  }
  const SeqId pin = take_pin();
  if (pin < 0) return false;
  const PrefixTree::Match match = tree_.match(key, tokens);
  if (match.n_shared > 0) memory_.share(match.cover, pin, 0, match.n_shared);
  memory_.share(seq_id, pin, match.n_shared, n_tokens);
  memory_.share_state(seq_id, pin, n_tokens);
  for (const SeqId replaced : tree_.insert(key, tokens, pin)) apply({replaced, 0});
  return true;
}

void PrefixCache::release(SeqId seq_id, TokenSpan tokens) {
  const Lease& lease = leases_.at(seq_id);
  PYSERVE_CHECK(lease.is_active && static_cast<size_t>(lease.n_computed) == tokens.size());
  if (!tokens.empty()) pin(seq_id, tokens);
  end(seq_id);
}

void PrefixCache::drop(SeqId seq_id) {
  PYSERVE_CHECK(leases_.at(seq_id).is_active);
  end(seq_id);
}

void PrefixCache::end(SeqId seq_id) {
  Lease& lease = leases_[seq_id];
  memory_.truncate(seq_id, 0);
  if (lease.node != nullptr) apply(tree_.unlock(lease.node));
  lease = Lease{};
}

bool PrefixCache::make_room(int n_cells) {
  if (limits_.n_cells == INT_MAX) return true;
  while (limits_.n_cells - n_used_cells() < n_cells) {
    PrefixTree::Node* leaf = tree_.oldest_leaf();
    if (leaf == nullptr) return false;
    evict(leaf);
  }
  return true;
}

bool PrefixCache::evict_one() {
  PrefixTree::Node* node = tree_.oldest_leaf();
  if (node == nullptr) node = tree_.oldest_pin();
  if (node == nullptr) return false;
  evict(node);
  return true;
}

void PrefixCache::clear() {
  for (auto* leaf = tree_.oldest_leaf(); leaf != nullptr; leaf = tree_.oldest_leaf()) {
    apply(tree_.evict(leaf));
  }
  for (auto* node = tree_.oldest_pin(); node != nullptr; node = tree_.oldest_pin()) {
    apply(tree_.evict(node));
  }
  store_.clear();
}

SeqId PrefixCache::take_pin() {
  while (free_pins_.empty()) {
    PrefixTree::Node* node = tree_.oldest_pin();
    if (node == nullptr) return -1;
    evict(node);
  }
  const SeqId pin = free_pins_.back();
  free_pins_.pop_back();
  return pin;
}

void PrefixCache::evict(PrefixTree::Node* node) {
  const PrefixTree::View view = tree_.view(node);
  if (on_evict_ && view.is_leaf) on_evict_(view.key, view.tokens);
  keep_copy(view);
  apply(tree_.evict(node));
}

void PrefixCache::keep_copy(const PrefixTree::View& view) {
  if (!view.is_leaf || view.n_run < kMinCopiedTokens || store_.n_bytes_max() == 0) return;
  if (store_.has(view.key, view.tokens)) return;
  std::vector<uint8_t> data = memory_.save(view.pin, store_.n_bytes_max());
  if (data.empty()) return;
  store_.put(
      {view.key, view.tokens, std::make_shared<const std::vector<uint8_t>>(std::move(data))});
}

std::vector<uint8_t> PrefixCache::copy_piece(const std::string& key, TokenSpan tokens, int begin,
                                             size_t n_bytes_max) {
  const auto end = static_cast<int>(tokens.size());
  PYSERVE_CHECK(begin >= 0 && begin < end);
  if (!memory_.is_cuttable()) {
    const SeqId pin = begin == 0 ? tree_.pin_at(key, tokens) : -1;
    return pin < 0 ? std::vector<uint8_t>() : memory_.save(pin, n_bytes_max);
  }
  if (scratch_ < 0) return {};
  const PrefixTree::Match match = tree_.match(key, tokens);
  if (match.n_shared < end) return {};
  memory_.share(match.cover, scratch_, begin, end);
  std::vector<uint8_t> data = memory_.save(scratch_, n_bytes_max);
  memory_.truncate(scratch_, 0);
  return data;
}

bool PrefixCache::load_piece(const std::string& key, TokenSpan tokens, int begin,
                             const std::vector<uint8_t>& data) {
  const auto end = static_cast<int>(tokens.size());
  PYSERVE_CHECK(begin >= 0 && begin < end && (begin == 0 || memory_.is_cuttable()));
  if (tree_.match(key, tokens).n_forked == end) return true;
  // 1. Room, which may take some of the prefix itself.
  if (!make_room(end - begin)) return false;
  const SeqId pin = take_pin();
  if (pin < 0) return false;
  const PrefixTree::Match match = tree_.match(key, tokens);
  if (match.n_shared < begin || !memory_.restore(pin, data)) {
    free_pins_.push_back(pin);
    return false;
  }
  // 2. The tree has the first cells already.
  memory_.unshare(pin, begin, match.n_shared);
  if (match.n_shared > 0) memory_.share(match.cover, pin, 0, match.n_shared);
  for (const SeqId replaced : tree_.insert(key, tokens, pin)) apply({replaced, 0});
  return true;
}

void PrefixCache::apply(const PrefixTree::Evicted& evicted) {
  if (evicted.pin < 0) return;
  memory_.truncate(evicted.pin, evicted.n_keep);
  if (evicted.n_keep == 0) free_pins_.push_back(evicted.pin);
}

int PrefixCache::n_own_cells() const {
  int n = 0;
  for (const Lease& lease : leases_) n += lease.n_computed - lease.n_forked;
  return n;
}

int PrefixCache::n_free_cells() const {
  if (limits_.n_cells == INT_MAX) return INT_MAX;
  return limits_.n_cells - n_held_cells();
}

std::string PrefixCache::check() const {
  if (std::string rule = tree_.check(); !rule.empty()) return rule;
  const int n_free = static_cast<int>(free_pins_.size()) + (scratch_ >= 0 ? 1 : 0);
  if (tree_.n_pins() + n_free != limits_.n_pins) return "a pin is lost";
  int n_locks = 0;
  for (const Lease& lease : leases_) {
    n_locks += lease.node != nullptr ? 1 : 0;
    if (lease.n_forked < 0 || lease.n_computed < lease.n_forked) return "a lease is impossible";
    if ((lease.n_forked > 0) != (lease.node != nullptr)) return "a lease locks nothing";
    if (!lease.is_active && lease.n_computed > 0) return "an ended lease holds cells";
    if (lease.node != nullptr &&
        tree_.view(lease.node).tokens.size() != static_cast<size_t>(lease.n_forked)) {
      return "a lease is locked elsewhere";
    }
  }
  if (tree_.n_locks() != n_locks) return "a lock is lost";
  if (store_.n_bytes() > store_.n_bytes_max()) return "the store is too large";
  return "";
}

}  // namespace pyserve
