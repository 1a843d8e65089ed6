// The memory of a model and that of a head that reads its states, as one.
#pragma once

#include "kv/sequence_memory.h"
#include "kv/state_rows.h"

namespace pyserve {

// What the head has of a token depends on the token and on the model's state before it, so it is
// shared, forked, cut and copied with the model's own cells:
//
//   tokens of a sequence    model's memory   head's memory                 rows
//   [0, n)                  computed         computed, but for the last    states of the last
//                                            tokens, maybe
//
// The row before a fork is what the head needs to go on. Where memory can be cut anywhere it is not
// kept: there the last token of a prefix is computed again (PrefixCacheLimits::repeats_last), of
// which the head has its part already. Elsewhere it stays with the state.
// Thread: engine thread only.
class PairedMemory final : public SequenceMemory {
 public:
  // All must outlive it.
  PairedMemory(SequenceMemory& model, SequenceMemory& head, StateRows& rows)
      : model_(model), head_(head), rows_(rows) {}

  bool is_cuttable() const override { return model_.is_cuttable() && head_.is_cuttable(); }
  bool can_undo() const override { return model_.can_undo() && head_.can_undo(); }
  bool is_forgetful() const override { return model_.is_forgetful() || head_.is_forgetful(); }
  int fork_from(SeqId seq_id) const override;
  void share(SeqId from, SeqId to, int begin, int end) override;
  void share_state(SeqId from, SeqId to, int end) override;
  void unshare(SeqId seq_id, int begin, int end) override;
  void truncate(SeqId seq_id, int n_keep) override;
  void repeat(SeqId seq_id, int n_keep) override;
  std::vector<uint8_t> save(SeqId seq_id, size_t n_bytes_max) const override;
  bool restore(SeqId seq_id, const std::vector<uint8_t>& data) override;

 private:
  SequenceMemory& model_;
  SequenceMemory& head_;
  StateRows& rows_;
};

}  // namespace pyserve
