// A node of the prefix tree; private to it and to its invariant checker.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "kv/prefix_tree.h"

namespace pyserve {

class PrefixTree::Node {
 public:
  int begin() const { return end - static_cast<int>(run.size()); }
  int n_run() const { return static_cast<int>(run.size()); }
  // Blocks whose last token is in the run.
  int n_blocks() const { return end / kBlockTokens - begin() / kBlockTokens; }
  bool is_leaf() const { return children.empty(); }
  bool is_root() const { return parent == nullptr; }

  std::vector<Token> run;
  int end = 0;  // tokens from the root
  Node* parent = nullptr;
  std::map<Token, std::unique_ptr<Node>> children;  // by the first token of their runs
  SeqId pin = -1;
  bool is_hollow = false;         // the pin only holds cells
  int n_locks = 0;                // at this node and below
  int n_own_locks = 0;            // at this node
  uint64_t used_at = 0;           // last lock or insertion at this node or below
  uint64_t forked_at = 0;         // the same, at this node
  std::vector<BlockHash> blocks;  // n_blocks() of them; none where nobody is told
};

template <typename Visit>
void PrefixTree::for_each(const Visit& visit) const {
  std::vector<Node*> stack;
  for (const auto& [key, root] : roots_) stack.push_back(root.get());
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    if (!node->is_root()) visit(node);
    for (const auto& [first, child] : node->children) stack.push_back(child.get());
  }
}

}  // namespace pyserve
