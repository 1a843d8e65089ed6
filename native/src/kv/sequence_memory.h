// The interface of a model's memory: sequences that share cells.
#pragma once

#include <cstdint>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// A sequence has cells, one per token, which many sequences can share, and beside them maybe a
// state that belongs to its end: sliding windows, or the state of recurrent layers. Nothing here
// computes or copies tensors but save() and restore().
// Thread: engine thread only.
class SequenceMemory {
 public:
  virtual ~SequenceMemory() = default;

  // Every prefix of a sequence can be forked: there is no state beside the cells.
  virtual bool is_cuttable() const = 0;
  // The tokens of the last step can be truncated.
  virtual bool can_undo() const = 0;
  // A prefix must be shared when a sequence ends there: soon after, it cannot be forked any more.
  virtual bool is_forgetful() const = 0;
  // The shortest prefix of a sequence that can be forked; its whole length always can.
  virtual int fork_from(SeqId seq_id) const = 0;

  // The cells of tokens [begin, end) of `from` belong to `to` as well.
  // REQUIRES: `to` has no cells for these tokens.
  virtual void share(SeqId from, SeqId to, int begin, int end) = 0;
  // The state of `from` after `end` tokens is the state of `to` as well; it replaces what was
  // there. REQUIRES: end >= fork_from(from).
  virtual void share_state(SeqId from, SeqId to, int end) = 0;
  // Gives up the cells of tokens [begin, end), but no state.
  virtual void unshare(SeqId seq_id, int begin, int end) = 0;
  // Keeps the first `n_keep` tokens. With 0 the sequence is empty, cells and state.
  virtual void truncate(SeqId seq_id, int n_keep) = 0;
  // The tokens after the first `n_keep` are computed again, and are the same: gives up their cells,
  // and may keep what is computed from them. REQUIRES: n_keep >= fork_from(seq_id).
  virtual void repeat(SeqId seq_id, int n_keep) { truncate(seq_id, n_keep); }

  // A copy of all that a sequence has; empty when that is not possible or more than `n_bytes_max`.
  virtual std::vector<uint8_t> save(SeqId seq_id, size_t n_bytes_max) const = 0;
  // Fills a sequence from such a copy, with cells of its own. False: the sequence is empty.
  virtual bool restore(SeqId seq_id, const std::vector<uint8_t>& data) = 0;
};

}  // namespace pyserve
