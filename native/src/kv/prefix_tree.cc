#include "kv/prefix_tree.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kv/prefix_tree_node.h"

namespace pyserve {
namespace {

SeqId find_pin(const PrefixTree::Node* node) {
  if (node->pin >= 0) return node->pin;
  for (const auto& [first, child] : node->children) {
    if (const SeqId pin = find_pin(child.get()); pin >= 0) return pin;
  }
  return -1;
}

}  // namespace

int common_prefix(TokenSpan a, TokenSpan b) {
  const size_t limit = std::min(a.size(), b.size());
  const auto end = std::mismatch(a.begin(), a.begin() + limit, b.begin()).first;
  return static_cast<int>(end - a.begin());
}

PrefixTree::PrefixTree(bool is_cuttable, ForkFrom fork_from)
    : is_cuttable_(is_cuttable), fork_from_(std::move(fork_from)) {}

PrefixTree::~PrefixTree() = default;

// --- Reading ---

PrefixTree::Place PrefixTree::find(const std::string& key, TokenSpan tokens) const {
  const auto root = roots_.find(key);
  if (root == roots_.end()) return {};
  Place place{root->second.get(), 0};
  while (static_cast<size_t>(place.n_shared) < tokens.size()) {
    const auto child = place.node->children.find(tokens[place.n_shared]);
    if (child == place.node->children.end()) break;
    place.node = child->second.get();
    place.n_shared += common_prefix(place.node->run, tokens.subspan(place.n_shared));
    if (place.n_shared < place.node->end) break;
  }
  return place;
}

PrefixTree::Match PrefixTree::match(const std::string& key, TokenSpan tokens) const {
  const Place place = find(key, tokens);
  Match match;
  if (place.n_shared == 0) return match;
  match.n_shared = place.n_shared;
  match.cover = find_pin(place.node);
  // 1. From the last shared token upwards: a pin below that can be forked there.
  const Node* node = place.node;
  int n_tokens = place.n_shared;
  for (const Node* seen = nullptr; !node->is_root(); seen = node, node = node->parent) {
    n_tokens = std::min(n_tokens, node->end);
    match.source = find_fork(node, n_tokens, seen);
    if (match.source >= 0) break;
  }
  if (match.source < 0) return match;
  match.n_forked = n_tokens;
  // 2. What a lock on it would add.
  for (; !node->is_root(); node = node->parent) {
    if (node->n_locks == 0) match.n_unlocked += std::min(n_tokens, node->end) - node->begin();
  }
  return match;
}

SeqId PrefixTree::pin_at(const std::string& key, TokenSpan tokens) const {
  const Place place = find(key, tokens);
  const Node* node = place.node;
  if (place.n_shared == 0 || static_cast<size_t>(place.n_shared) < tokens.size()) return -1;
  return node->end == place.n_shared && !node->is_hollow ? node->pin : -1;
}

bool PrefixTree::can_fork(const Node* node, int n_tokens) const {
  if (node->pin < 0 || node->is_hollow) return false;
  return is_cuttable_ || fork_from_(node->pin) <= n_tokens;
}

SeqId PrefixTree::find_fork(const Node* node, int n_tokens, const Node* skip) const {
  if (can_fork(node, n_tokens)) return node->pin;
  for (const auto& [first, child] : node->children) {
    if (child.get() == skip) continue;
    if (const SeqId pin = find_fork(child.get(), n_tokens, skip); pin >= 0) return pin;
  }
  return -1;
}

PrefixTree::View PrefixTree::view(const Node* node) const {
  View view;
  view.n_run = node->n_run();
  view.pin = node->pin;
  view.is_leaf = node->is_leaf();
  view.tokens = tail(node, 0);
  view.key = key_of(node);
  return view;
}

PrefixTree::Node* PrefixTree::oldest_leaf() const {
  Node* oldest = nullptr;
  for_each([&](Node* node) {
    if (!node->is_leaf() || node->n_locks > 0) return;
    if (oldest == nullptr || node->used_at < oldest->used_at) oldest = node;
  });
  return oldest;
}

PrefixTree::Node* PrefixTree::oldest_pin() const {
  Node* oldest = nullptr;
  uint64_t oldest_at = 0;
  for_each([&](Node* node) {
    if (node->pin < 0 || node->n_own_locks > 0) return;
    const uint64_t at = node->is_leaf() ? node->used_at : node->forked_at;
    if (oldest == nullptr || at < oldest_at) {
      oldest = node;
      oldest_at = at;
    }
  });
  return oldest;
}

// --- Changing ---

PrefixTree::Node* PrefixTree::lock(const std::string& key, TokenSpan tokens) {
  const Place place = find(key, tokens);
  PYSERVE_CHECK(place.n_shared > 0 && static_cast<size_t>(place.n_shared) == tokens.size());
  Node* node = split(place.node, place.n_shared);
  touch(node);
  ++node->n_own_locks;
  ++n_locks_;
  for (Node* at = node; !at->is_root(); at = at->parent) {
    if (at->n_locks++ == 0) n_locked_cells_ += at->n_run();
  }
  return node;
}

PrefixTree::Evicted PrefixTree::unlock(Node* node) {
  PYSERVE_CHECK(node->n_own_locks > 0);
  --node->n_own_locks;
  --n_locks_;
  for (Node* at = node; !at->is_root(); at = at->parent) {
    if (--at->n_locks == 0) n_locked_cells_ -= at->n_run();
  }
  if (node->is_hollow && node->n_locks == 0) return remove_leaf(node);
  merge_with_child(node);
  return {};
}

std::vector<SeqId> PrefixTree::insert(const std::string& key, TokenSpan tokens, SeqId pin) {
  std::unique_ptr<Node>& root = roots_[key];
  if (root == nullptr) root = std::make_unique<Node>();
  const Place place = find(key, tokens);
  Node* node = place.n_shared == 0 ? root.get() : split(place.node, place.n_shared);
  std::vector<SeqId> replaced;
  const bool is_new = static_cast<size_t>(place.n_shared) < tokens.size();
  // The pin below holds the cells of the node above.
  if (node->pin >= 0 && (!is_new || is_cuttable_ || node->is_hollow)) {
    replaced.push_back(node->pin);
    set_pin(node, -1, false);
  }
  Node* above = node;
  if (is_new) node = add_leaf(node, tokens.subspan(place.n_shared));
  set_pin(node, pin, false);
  touch(node);
  if (is_new) merge_with_child(above);
  return replaced;
}

PrefixTree::Evicted PrefixTree::evict(Node* node) {
  if (node->is_leaf()) {
    PYSERVE_CHECK(node->n_locks == 0);
    return remove_leaf(node);
  }
  PYSERVE_CHECK(node->n_own_locks == 0);
  const Evicted evicted{node->pin, 0};
  set_pin(node, -1, false);
  merge_with_child(node);
  return evicted;
}

// The node that ends at `end`, made of the upper part of `node` when it ends later.
PrefixTree::Node* PrefixTree::split(Node* node, int end) {
  if (node->end == end) return node;
  std::unique_ptr<Node>& place = node->parent->children.at(node->run.front());
  auto upper = std::make_unique<Node>();
  const auto cut = node->run.begin() + (end - node->begin());
  upper->run.assign(node->run.begin(), cut);
  upper->end = end;
  upper->parent = node->parent;
  upper->n_locks = node->n_locks;
  upper->used_at = node->used_at;
  node->run.erase(node->run.begin(), cut);
  const auto blocks_cut = node->blocks.begin() + (node->blocks.empty() ? 0 : upper->n_blocks());
  upper->blocks.assign(node->blocks.begin(), blocks_cut);
  node->blocks.erase(node->blocks.begin(), blocks_cut);
  node->parent = upper.get();
  upper->children[node->run.front()] = std::move(place);
  place = std::move(upper);
  return place.get();
}

PrefixTree::Node* PrefixTree::add_leaf(Node* parent, TokenSpan run) {
  auto leaf = std::make_unique<Node>();
  leaf->run.assign(run.begin(), run.end());
  leaf->end = parent->end + static_cast<int>(run.size());
  leaf->parent = parent;
  n_cells_ += leaf->n_run();
  Node* added = (parent->children[run.front()] = std::move(leaf)).get();
  tell_stored(added);
  return added;
}

// A node that neither branches nor holds anything is a part of its child.
void PrefixTree::merge_with_child(Node* node) {
  if (node->is_root() || node->children.size() != 1) return;
  if (node->pin >= 0 || node->n_own_locks > 0) return;
  std::unique_ptr<Node> child = std::move(node->children.begin()->second);
  child->run.insert(child->run.begin(), node->run.begin(), node->run.end());
  child->blocks.insert(child->blocks.begin(), node->blocks.begin(), node->blocks.end());
  child->parent = node->parent;
  std::unique_ptr<Node>& place = node->parent->children.at(child->run.front());
  place = std::move(child);
}

void PrefixTree::set_pin(Node* node, SeqId pin, bool is_hollow) {
  n_pins_ += (pin >= 0 ? 1 : 0) - (node->pin >= 0 ? 1 : 0);
  node->pin = pin;
  node->is_hollow = is_hollow;
}

void PrefixTree::touch(Node* node) {
  node->forked_at = ++clock_;
  for (; !node->is_root(); node = node->parent) node->used_at = clock_;
}

// Removes an unlocked leaf. Its pin moves up when the parent would be a leaf without one.
PrefixTree::Evicted PrefixTree::remove_leaf(Node* leaf) {
  const SeqId pin = leaf->pin;
  const bool is_hollow = leaf->is_hollow;
  Node* node = remove_node(leaf);
  while (!node->is_root()) {
    if (!node->is_leaf() || node->pin >= 0) {
      merge_with_child(node);
      return {pin, 0};
    }
    const bool is_sound = is_cuttable_ || (!is_hollow && fork_from_(pin) <= node->end);
    if (is_sound || node->n_locks > 0) {
      set_pin(node, pin, !is_sound);
      return {pin, node->end};
    }
    node = remove_node(node);
  }
  if (node->is_leaf()) {
    std::erase_if(roots_, [node](const auto& item) { return item.second.get() == node; });
  }
  return {pin, 0};
}

// Returns the parent.
PrefixTree::Node* PrefixTree::remove_node(Node* leaf) {
  Node* parent = leaf->parent;
  tell_removed(leaf);
  set_pin(leaf, -1, false);
  n_cells_ -= leaf->n_run();
  parent->children.erase(leaf->run.front());
  return parent;
}

}  // namespace pyserve
