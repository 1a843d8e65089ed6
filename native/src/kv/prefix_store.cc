#include "kv/prefix_store.h"

#include <algorithm>
#include <utility>

#include "kv/prefix_tree.h"

namespace pyserve {

PrefixStore::PrefixStore(size_t n_bytes_max, bool is_cuttable)
    : n_bytes_max_(n_bytes_max), is_cuttable_(is_cuttable) {}

std::optional<PrefixStore::Hit> PrefixStore::find(const std::string& key, TokenSpan tokens) const {
  Hit best;
  for (const Entry& entry : entries_) {
    if (entry.key != key) continue;
    const int n_shared = common_prefix(entry.tokens, tokens);
    const bool is_whole = static_cast<size_t>(n_shared) == entry.tokens.size();
    if ((is_whole || is_cuttable_) && n_shared > best.n_tokens) best = {&entry, n_shared};
  }
  if (best.entry == nullptr) return std::nullopt;
  return best;
}

void PrefixStore::touch(const Hit& hit) {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return &entry == hit.entry; });
  if (it != entries_.end()) entries_.splice(entries_.begin(), entries_, it);
}

bool PrefixStore::has(const std::string& key, TokenSpan tokens) const {
  const std::optional<Hit> hit = find(key, tokens);
  return hit && static_cast<size_t>(hit->n_tokens) == tokens.size();
}

void PrefixStore::put(Entry entry) {
  if (entry.n_bytes() > n_bytes_max_) return;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto at = it++;
    if (at->key != entry.key) continue;
    const bool is_same = at->tokens == entry.tokens;
    const auto n_old = static_cast<int>(at->tokens.size());
    if (is_same || (is_cuttable_ && common_prefix(at->tokens, entry.tokens) == n_old)) erase(at);
  }
  n_bytes_ += entry.n_bytes();
  entries_.push_front(std::move(entry));
  while (n_bytes_ > n_bytes_max_) erase(std::prev(entries_.end()));
}

void PrefixStore::clear() {
  entries_.clear();
  n_bytes_ = 0;
}

void PrefixStore::erase(std::list<Entry>::iterator it) {
  n_bytes_ -= it->n_bytes();
  entries_.erase(it);
}

}  // namespace pyserve
