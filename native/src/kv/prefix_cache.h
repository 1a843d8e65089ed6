// The sequences of a context: those of running requests, and the prefixes that are kept for others.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kv/prefix_store.h"
#include "kv/prefix_tree.h"
#include "kv/sequence_memory.h"

namespace pyserve {

struct PrefixCacheLimits {
  int n_active = 1;          // running requests; they have the ids [0, n_active)
  int n_pins = 0;            // kept prefixes; they have the ids that follow. 0: nothing is kept
  int n_cells = 0;           // INT_MAX: memory that does not grow with tokens
  size_t n_store_bytes = 0;  // for copies of what was evicted
  bool has_pieces = false;   // copy_piece() and load_piece() are used; takes one of the pins
  // Where memory can be cut, the last token of a shared prefix is computed again: what follows
  // needs more of it than its cells.
  bool repeats_last = false;
};

// Who holds which cells:
//
//   tokens of a running request       holder
//   [0, n_forked)                     the tree, locked by the request
//   [n_forked, n_computed)            the request; n_own_cells() counts them
//
// So the cells in use are the tree's runs and what the requests own, and all of it but locked runs
// can be made free. When a request ends its cells go to the tree; cells that the tree has already
// are given up, not kept twice.
// Thread: engine thread only.
class PrefixCache {
 public:
  // The memory must outlive it.
  PrefixCache(SequenceMemory& memory, const PrefixCacheLimits& limits);

  // What a request for `tokens` would find now. Only tokens under the same key are shared.
  struct Offer {
    int n_cached = 0;  // leading tokens that need not be computed
    int n_shared = 0;  // leading tokens that are known, but maybe cannot be forked there
    int n_cells = 0;   // free or evictable cells that it takes to hold all tokens
  };
  Offer offer(const std::string& key, TokenSpan tokens) const;

  struct Start {
    SeqId seq_id = -1;
    int n_computed = 0;
    bool is_restored = false;  // from a copy of something that was evicted
  };
  // A sequence for a request that has the first `n_computed` of `tokens` already.
  // nullopt: n_active requests are running.
  std::optional<Start> acquire(const std::string& key, TokenSpan tokens);

  // `n_tokens` more have been computed.
  void advance(SeqId seq_id, int n_tokens) { leases_[seq_id].n_computed += n_tokens; }

  // All that was computed beyond that is taken back. REQUIRES: can_undo(), all of the last step.
  void undo(SeqId seq_id) { memory_.truncate(seq_id, leases_[seq_id].n_computed); }

  // Lets others fork the first tokens.size() tokens of a running request.
  // False: it has gone too far for that, or no pin can be had.
  // REQUIRES: 0 < tokens.size() <= n_computed.
  bool publish(SeqId seq_id, TokenSpan tokens);

  // The request ends and leaves all it has computed to others.
  // REQUIRES: tokens.size() == n_computed.
  void release(SeqId seq_id, TokenSpan tokens);
  // The request ends, and what it has computed is of no use.
  void drop(SeqId seq_id);

  // Evicts until `n_cells` are empty; false: that many cannot be had.
  bool make_room(int n_cells);
  // Evicts one prefix, or a pin that holds more than cells; false: there is none.
  bool evict_one();

  // Keeps nothing that no running request uses, without on_evict().
  void clear();

  // A copy of the tokens [begin, tokens.size()) of a kept prefix, for load_piece(). Where memory
  // cannot be cut, `begin` is 0 and the prefix one that ends at a pin. Empty: it is not kept (any
  // more), or more than `n_bytes_max`.
  std::vector<uint8_t> copy_piece(const std::string& key, TokenSpan tokens, int begin,
                                  size_t n_bytes_max);
  // Adds what copy_piece() gave to a prefix that is kept up to `begin` or farther. False: it is
  // not, there is no room, or the memory does not take it.
  bool load_piece(const std::string& key, TokenSpan tokens, int begin,
                  const std::vector<uint8_t>& data);
  // Is told what is about to be evicted, and may copy it.
  using OnEvict = std::function<void(const std::string& key, TokenSpan tokens)>;
  void on_evict(OnEvict on_evict) { on_evict_ = std::move(on_evict); }
  // Has the log told which blocks of prefixes come and go. REQUIRES: nothing is kept yet.
  void tell(BlockLog* log) { tree_.tell(log); }

  int n_forked(SeqId seq_id) const { return leases_[seq_id].n_forked; }
  int n_own_cells() const;
  // Those that running requests need; what they share counts once.
  int n_held_cells() const { return tree_.n_locked_cells() + n_own_cells(); }
  int n_used_cells() const { return tree_.n_cells() + n_own_cells(); }
  // Empty or evictable.
  int n_free_cells() const;
  bool can_share() const { return limits_.n_pins > 0; }
  bool is_cuttable() const { return memory_.is_cuttable(); }
  bool can_undo() const { return memory_.can_undo(); }
  bool is_forgetful() const { return memory_.is_forgetful(); }
  int n_pins() const { return tree_.n_pins(); }
  size_t n_store_bytes() const { return store_.n_bytes(); }

  // Every rule that does not hold, "" = none. For tests and debug builds.
  std::string check() const;

 private:
  struct Lease {
    bool is_active = false;
    std::string key;
    PrefixTree::Node* node = nullptr;  // locked; ends at n_forked; nullptr when that is 0
    int n_forked = 0;
    int n_computed = 0;
  };

  int n_usable(const PrefixTree::Match& match) const;
  std::optional<PrefixStore::Hit> better_copy(const std::string& key, TokenSpan tokens,
                                              const PrefixTree::Match& match) const;
  bool restore(SeqId seq_id, const PrefixStore::Hit& hit);
  bool pin(SeqId seq_id, TokenSpan tokens);
  SeqId take_pin();
  void evict(PrefixTree::Node* node);
  void keep_copy(const PrefixTree::View& view);
  void apply(const PrefixTree::Evicted& evicted);
  void end(SeqId seq_id);

  SequenceMemory& memory_;
  const PrefixCacheLimits limits_;
  PrefixTree tree_;
  PrefixStore store_;
  std::vector<Lease> leases_;  // index = id of an active sequence
  std::vector<SeqId> free_pins_;
  SeqId scratch_ = -1;  // holds a piece while it is copied
  OnEvict on_evict_;
};

}  // namespace pyserve
