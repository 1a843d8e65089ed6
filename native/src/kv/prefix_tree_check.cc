#include <set>

#include "kv/prefix_tree_node.h"

namespace pyserve {
namespace {

struct Sums {
  std::set<SeqId> pins;
  int n_cells = 0;
  int n_locked = 0;
};

std::string check_pin(const PrefixTree::Node& node, bool is_cuttable, Sums& sums) {
  if (node.pin < 0) {
    if (node.is_hollow) return "a missing pin is hollow";
    return node.is_leaf() ? "a leaf has no pin" : "";
  }
  if (!sums.pins.insert(node.pin).second) return "a pin is used twice";
  if (is_cuttable && !node.is_leaf()) return "an inner node has a pin of its own";
  if (node.is_hollow && (is_cuttable || !node.is_leaf() || node.n_locks == 0)) {
    return "a hollow pin is of no use";
  }
  return "";
}

std::string check_node(const PrefixTree::Node& node, bool is_cuttable, Sums& sums) {
  int n_locks = node.n_own_locks;
  for (const auto& [first, child] : node.children) {
    if (child->parent != &node || child->run.empty()) return "a child is not linked";
    if (child->run.front() != first || child->begin() != node.end) return "a run is misplaced";
    if (std::string rule = check_node(*child, is_cuttable, sums); !rule.empty()) return rule;
    n_locks += child->n_locks;
  }
  if (node.is_root()) return node.is_leaf() ? "a root is empty" : "";
  if (node.n_locks != n_locks) return "locks do not add up";
  if (!node.blocks.empty() && static_cast<int>(node.blocks.size()) != node.n_blocks()) {
    return "blocks do not follow the runs";
  }
  sums.n_cells += node.n_run();
  if (node.n_locks > 0) sums.n_locked += node.n_run();
  const bool is_bare = node.pin < 0 && node.n_own_locks == 0;
  if (is_bare && node.children.size() == 1) return "a node should be part of its child";
  return check_pin(node, is_cuttable, sums);
}

}  // namespace

std::string PrefixTree::check() const {
  Sums sums;
  for (const auto& [key, root] : roots_) {
    if (std::string rule = check_node(*root, is_cuttable_, sums); !rule.empty()) return rule;
  }
  if (sums.n_cells != n_cells_) return "cells do not add up";
  if (sums.n_locked != n_locked_cells_) return "locked cells do not add up";
  if (static_cast<int>(sums.pins.size()) != n_pins_) return "pins do not add up";
  return "";
}

}  // namespace pyserve
