#include "engine/lanes/shared_beginning.h"

#include <algorithm>

namespace pyserve {
namespace {

// Fewer tokens are sooner computed than waited for.
constexpr int kMinShared = 16;

}  // namespace

void SharedBeginning::offer(SeqId seq_id, TokenSpan tokens, int n_computed) {
  const auto end = std::ranges::mismatch(prompt_, tokens).in1;
  const auto n_most = static_cast<int>(prompt_.size()) - 1;
  const int n_shared = std::min(static_cast<int>(end - prompt_.begin()), n_most);
  const bool is_computed = n_computed >= n_shared;
  if (n_shared < kMinShared + (is_computed ? 0 : n_tokens_) || n_shared <= n_tokens_) return;
  seq_id_ = seq_id;
  n_tokens_ = n_shared;
  is_computed_ = is_computed;
}

}  // namespace pyserve
