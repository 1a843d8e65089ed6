// The radix tree of cached token runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kv/block_log.h"
#include "pyserve/types.h"

namespace pyserve {

// How many leading tokens `a` and `b` share.
int common_prefix(TokenSpan a, TokenSpan b);

// One tree per key; a node is a run of tokens, and the tokens from the root to its end are its
// prefix. A pin is a sequence id whose cells are the prefix of its node.
//
//   prefix of                  cells are held by        can be forked at n <= its end
//   a node with a pin          its pin                  where fork_from(pin) <= n
//   a node without             any pin below            the same, for each pin below
//   a node with a hollow pin   that pin, for their      never: what a fork needs beside the
//                              accounting only          cells is lost
//
// Every prefix shares the cells of its path, so the tree holds n_cells() cells: the sum of the
// runs. Locked nodes are on the path of an active request and stay.
// The tree knows ids and tokens; the caller makes the cells follow.
// Thread: engine thread only.
class PrefixTree {
 public:
  class Node;

  // The shortest prefix of a pin's sequence that a fork may take; its whole length always may.
  using ForkFrom = std::function<int(SeqId)>;

  // is_cuttable: fork_from is always 0. Then inner nodes need no pins of their own.
  PrefixTree(bool is_cuttable, ForkFrom fork_from);
  ~PrefixTree();

  // Has the log told of all blocks that come and go; the log must outlive the tree.
  // REQUIRES: the tree is empty.
  void tell(BlockLog* log) { log_ = log; }

  // What a removal leaves to do: the sequence keeps `n_keep` tokens; 0 = it is free.
  struct Evicted {
    SeqId pin = -1;  // -1 = nothing to do
    int n_keep = 0;
  };

  struct Match {
    int n_shared = 0;    // leading tokens that are in the tree
    SeqId cover = -1;    // a pin whose cells they are; -1 = none are
    int n_forked = 0;    // leading tokens that can be forked, <= n_shared
    SeqId source = -1;   // the pin to fork them from; -1 = none can be
    int n_unlocked = 0;  // cells of [0, n_forked) that no lock holds yet
  };
  // Changes nothing. Valid until the tree changes.
  Match match(const std::string& key, TokenSpan tokens) const;

  // The pin whose sequence is `tokens`, no more and no less; -1 = none, or a hollow one.
  SeqId pin_at(const std::string& key, TokenSpan tokens) const;

  // Keeps [0, tokens.size()) from eviction until the returned node is unlocked.
  // REQUIRES: the tokens are in the tree, and not empty.
  Node* lock(const std::string& key, TokenSpan tokens);
  // Gives back a lock; a prefix that only the lock kept goes with it.
  Evicted unlock(Node* node);

  // Adds a prefix, held by `pin`. Returns the pins that it replaces.
  // REQUIRES: the sequence shares the cells of match().n_shared with the tree; not empty.
  std::vector<SeqId> insert(const std::string& key, TokenSpan tokens, SeqId pin);

  // Leaves without locks, the one that was used longest ago first; nullptr = none.
  Node* oldest_leaf() const;
  // The pin that is worth least: of an unlocked leaf, or an inner one. nullptr = none can go.
  Node* oldest_pin() const;

  // Removes a leaf, or only the pin of an inner node.
  // REQUIRES: from oldest_leaf() or oldest_pin(), and the tree has not changed since.
  Evicted evict(Node* node);

  // What a node that was returned above stands for.
  struct View {
    std::string key;
    std::vector<Token> tokens;  // from the root to its end
    int n_run = 0;              // the last of them are its own
    SeqId pin = -1;
    bool is_leaf = false;
  };
  View view(const Node* node) const;

  int n_cells() const { return n_cells_; }
  int n_locked_cells() const { return n_locked_cells_; }
  int n_pins() const { return n_pins_; }
  int n_locks() const { return n_locks_; }

  // Every rule that does not hold, "" = none. For tests and debug builds.
  std::string check() const;

 private:
  struct Place {
    Node* node = nullptr;  // holds the last shared token; the root, or nullptr, when there is none
    int n_shared = 0;
  };
  Place find(const std::string& key, TokenSpan tokens) const;
  Node* split(Node* node, int end);
  Node* add_leaf(Node* parent, TokenSpan run);
  void merge_with_child(Node* node);
  bool can_fork(const Node* node, int n_tokens) const;
  SeqId find_fork(const Node* node, int n_tokens, const Node* skip) const;
  void set_pin(Node* node, SeqId pin, bool is_hollow);
  void touch(Node* node);
  Evicted remove_leaf(Node* leaf);
  Node* remove_node(Node* leaf);
  template <typename Visit>
  void for_each(const Visit& visit) const;

  // The tokens [begin, end of the node).
  static std::vector<Token> tail(const Node* node, int begin);
  const std::string& key_of(const Node* node) const;
  void tell_stored(Node* leaf);
  void tell_removed(const Node* leaf);
  void tell_all();
  static BlockChange stored(const std::string& key, const Node* node);

  const bool is_cuttable_;
  const ForkFrom fork_from_;
  BlockLog* log_ = nullptr;
  std::map<std::string, std::unique_ptr<Node>> roots_;
  uint64_t clock_ = 0;
  int n_cells_ = 0;
  int n_locked_cells_ = 0;
  int n_pins_ = 0;
  int n_locks_ = 0;
};

}  // namespace pyserve
