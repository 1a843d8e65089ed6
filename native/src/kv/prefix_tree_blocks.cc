#include <algorithm>

#include "kv/prefix_tree_node.h"

namespace pyserve {
namespace {

// The last block that ends at `node` or above; 0 = none.
BlockHash last_block(const PrefixTree::Node* node) {
  while (!node->is_root() && node->blocks.empty()) node = node->parent;
  return node->blocks.empty() ? 0 : node->blocks.back();
}

// Tokens before the first of `node` that belong to blocks of its own.
int n_borrowed(const PrefixTree::Node* node) { return node->begin() % kBlockTokens; }

}  // namespace

std::vector<Token> PrefixTree::tail(const Node* node, int begin) {
  std::vector<Token> tokens(node->end - begin);
  for (; !node->is_root() && node->end > begin; node = node->parent) {
    const int n_above = std::max(begin - node->begin(), 0);
    std::copy(node->run.begin() + n_above, node->run.end(),
              tokens.begin() + (node->begin() + n_above - begin));
  }
  return tokens;
}

const std::string& PrefixTree::key_of(const Node* node) const {
  static const std::string none;
  while (!node->is_root()) node = node->parent;
  for (const auto& [key, root] : roots_) {
    if (root.get() == node) return key;
  }
  return none;
}

// A block belongs to the node of its last token, and is known by all tokens before: so each is in
// one node, whatever is cut and joined later.
void PrefixTree::tell_stored(Node* leaf) {
  if (log_ == nullptr) return;
  const std::string& key = key_of(leaf);
  const std::vector<Token> tokens = tail(leaf, leaf->begin() - n_borrowed(leaf));
  BlockHash parent = last_block(leaf->parent);
  for (TokenSpan rest = tokens; rest.size() >= kBlockTokens; rest = rest.subspan(kBlockTokens)) {
    leaf->blocks.push_back(parent = hash_block(key, parent, rest.first(kBlockTokens)));
  }
  if (leaf->blocks.empty()) return;
  if (log_->wants_all()) {
    tell_all();
  } else {
    log_->add(stored(key, leaf));
  }
}

void PrefixTree::tell_removed(const Node* leaf) {
  if (log_ == nullptr || leaf->blocks.empty()) return;
  log_->add({false, key_of(leaf), 0, leaf->blocks, {}});
}

// Nodes come after those above them.
void PrefixTree::tell_all() {
  log_->begin_again();
  for_each([this](const Node* node) {
    if (!node->blocks.empty()) log_->add(stored(key_of(node), node));
  });
}

BlockChange PrefixTree::stored(const std::string& key, const Node* node) {
  std::vector<Token> tokens = tail(node, node->begin() - n_borrowed(node));
  tokens.resize(node->blocks.size() * kBlockTokens);
  return {true, key, last_block(node->parent), node->blocks, std::move(tokens)};
}

}  // namespace pyserve
