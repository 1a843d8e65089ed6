// Which sequence ids of the KV cache are in use, and what finished ones still hold.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// A sequence is empty, idle (holds the tokens of a finished request) or active.
//
//   state   cells        owner
//   empty   0            pool
//   idle    tokens       pool, until it is acquired or evicted
//   active  grow         the request that acquired it
//
// The pool knows ids and tokens; the caller makes the cells follow: truncate to `n_reused` after
// acquire(), clear after evict_lru() and drop().
// Thread: engine thread only.
class SequencePool {
 public:
  struct Lease {
    SeqId seq_id;
    int n_reused;  // leading tokens whose cells can be kept; the rest must be removed
  };

  explicit SequencePool(int n_seq);

  // Takes the idle sequence of `tenant` with the longest common prefix with `tokens`, else an empty
  // one, else the idle one that was released longest ago. nullopt: all are active.
  std::optional<Lease> acquire(TokenSpan tokens, const std::string& tenant);

  // The sequence becomes idle and holds `tokens`; without tokens it becomes empty.
  // REQUIRES: active.
  void release(SeqId seq_id, std::vector<Token> tokens, std::string tenant);

  // The sequence becomes empty. REQUIRES: active.
  void drop(SeqId seq_id) { release(seq_id, {}, {}); }

  // Empties the idle sequence that was released longest ago. nullopt: none is idle.
  std::optional<SeqId> evict_lru();

  int n_idle_tokens() const;

 private:
  enum class State { kEmpty, kIdle, kActive };
  struct Entry {
    State state = State::kEmpty;
    std::vector<Token> tokens;
    std::string tenant;
    uint64_t released_at = 0;
  };

  std::optional<Lease> longest_prefix(TokenSpan tokens, const std::string& tenant) const;
  std::optional<SeqId> least_recent_idle() const;
  std::optional<SeqId> first_empty() const;

  std::vector<Entry> entries_;  // index = sequence id
  uint64_t n_releases_ = 0;
};

// How many leading tokens `a` and `b` share.
int common_prefix(TokenSpan a, TokenSpan b);

}  // namespace pyserve
