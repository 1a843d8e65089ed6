// What guesses how answers go on: a smaller model, or a head that reads the model's own states.
#pragma once

#include <vector>

#include "pyserve/types.h"
#include "sched/draft/draft.h"

namespace pyserve {

// A request that may be guessed for: what follows `tokens`, at most `n_max` tokens.
struct GuessWish {
  SeqId seq_id = 0;
  TokenSpan tokens;
  int n_max = 0;
};

// Follows requests by their sequence ids. What became of its last guess it sees in the tokens that
// it is asked about next.
// Thread: engine thread only.
class Guesser {
 public:
  virtual ~Guesser() = default;

  // One for each wish; nothing where it has not read most of the tokens yet, or where a token is
  // not likely enough. REQUIRES: tokens are there, 0 <= seq_id < config.n_seq_max.
  virtual std::vector<Proposal> guess(const std::vector<GuessWish>& wishes) = 0;

  virtual DraftKind kind() const = 0;
  // How often a guessed token was right when those before it were.
  virtual double chance() const = 0;
  // What it takes to guess one more token for each of `n_wishes` requests; 0: not known yet.
  virtual double guess_ms(int n_wishes) const = 0;
  // Allocated for caches, for computing, and for weights that are not the model's.
  virtual int64_t kv_bytes() const = 0;
  virtual int64_t compute_bytes() const = 0;
  virtual int64_t weight_bytes() const = 0;
};

}  // namespace pyserve
