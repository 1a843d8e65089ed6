// Finds what the prompt of a request shares with prompts that are computed, or soon will be.
#pragma once

#include "pyserve/types.h"

namespace pyserve {

// Thread: one at a time.
class SharedBeginning {
 public:
  // Of a prompt, whose last token is computed in any case. It must outlive this.
  explicit SharedBeginning(TokenSpan prompt) : prompt_(prompt) {}

  // The cells of a sequence that has `tokens`, the first `n_computed` of them computed.
  void offer(SeqId seq_id, TokenSpan tokens, int n_computed);

  SeqId seq_id() const { return seq_id_; }
  int n_tokens() const { return n_tokens_; }  // 0: nothing that is worth it
  // False: it pays to wait until the sequence has computed so many.
  bool is_computed() const { return is_computed_; }

 private:
  TokenSpan prompt_;
  SeqId seq_id_ = -1;
  int n_tokens_ = 0;
  bool is_computed_ = true;
};

}  // namespace pyserve
