// The memory of a llama context as sequences that share cells.
#pragma once

#include <optional>

#include "kv/sequence_memory.h"
#include "llama/context/cell_positions.h"

struct llama_context;
struct llama_memory_i;
class llama_kv_cache;
class llama_memory_recurrent;

namespace pyserve {

//   model                   cells       window       recurrent
//   plain attention         its cache   -            -
//   sliding windows         full part   window part  -
//   Mamba, RWKV             -           -            its states
//   hybrid                  attention   maybe        its states
//
// Other kinds of memory are known to nobody here: they can be cleared, and nothing else.
// Thread: engine thread only.
class ContextMemory final : public SequenceMemory {
 public:
  // The context must outlive it. n_swa: tokens of the sliding window, 0 = none.
  ContextMemory(llama_context* context, int n_swa);

  // False: the model keeps nothing between steps.
  bool has_memory() const { return memory_ != nullptr; }
  // A hybrid model has no layer with attention, for which the vendor ends the process.
  bool lacks_attention() const { return lacks_attention_; }
  // Sequences can share; false: only truncate(seq_id, 0) may be called.
  bool can_share() const { return cells_ != nullptr || recurrent_ != nullptr; }
  // Tokens take cells.
  bool has_cells() const { return recurrent_ == nullptr || cells_ != nullptr; }

  bool is_cuttable() const override { return window_ == nullptr && recurrent_ == nullptr; }
  bool can_undo() const override { return cells_ != nullptr && recurrent_ == nullptr; }
  bool is_forgetful() const override;
  int fork_from(SeqId seq_id) const override;
  void share(SeqId from, SeqId to, int begin, int end) override;
  void share_state(SeqId from, SeqId to, int end) override;
  void unshare(SeqId seq_id, int begin, int end) override;
  void truncate(SeqId seq_id, int n_keep) override;
  std::vector<uint8_t> save(SeqId seq_id, size_t n_bytes_max) const override;
  bool restore(SeqId seq_id, const std::vector<uint8_t>& data) override;

 private:
  bool has_full_window() const;

  llama_context* context_;
  const int n_swa_;
  llama_memory_i* memory_;
  llama_kv_cache* cells_ = nullptr;
  llama_kv_cache* window_ = nullptr;
  llama_memory_recurrent* recurrent_ = nullptr;
  bool lacks_attention_ = false;
  std::optional<CellPositions> cell_order_;    // while attention asks for it
  std::optional<CellPositions> window_order_;  // the same of the window part
};

}  // namespace pyserve
