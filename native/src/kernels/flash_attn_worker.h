// What one thread computes of a node of attention.
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/flash_attn_node.h"
#include "traits.h"

namespace pyserve {

// Its view of the work buffer, and the row that it has looked at.
class FlashAttnWorker {
 public:
  FlashAttnWorker(const FlashAttnNode& node, const AttentionKernels& kernels,
                  const ggml_compute_params* params);

  // Computes an item. Without splits its output is then there.
  void run(int item);
  // Puts the pieces of a group together; all items must have been computed.
  void combine(int group);

 private:
  void list_cells(int row);
  void load_q(int row, int kv_head);
  HeadGroup head_group(int row, int kv_head) const;
  void clear(const Partial& state) const;
  void attend(const HeadGroup& heads, int piece, const Partial& state) const;
  void merge(const Partial& piece, const Partial& total) const;
  Partial state_at(float* floats) const;
  Partial shared_state(int group, int piece) const;
  void store(int group, const Partial& state) const;

  const FlashAttnNode& node_;
  const AttentionKernels& kernels_;
  const float scale_;
  int32_t* cells_;
  float* q_;
  Partial total_;
  Partial piece_;
  int32_t* counts_;  // pieces of each row, with splits
  float* states_;    // [group][piece], with splits
  int row_ = -1;
  int n_cells_ = 0;
};

}  // namespace pyserve
