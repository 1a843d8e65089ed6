// One thread's share of an attention node.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/attention/node.h"
#include "traits.h"

namespace pyserve {

// Its view of the work buffer, and the tile that it has looked at.
class FlashAttnWorker {
 public:
  FlashAttnWorker(const FlashAttnNode& node, const AttentionKernels& kernels,
                  const ggml_compute_params* params);

  // Computes an item. Without splits its output is then there.
  void run(int item);
  // Puts the pieces of a group together; all items must have been computed.
  void combine(int group);

 private:
  using Row = CellLists::Row;
  // Neighbouring rows of the tile that begin with the same `n_shared` cells, whole blocks.
  struct Run {
    int first;
    int n_rows;
    int n_shared;
  };

  void run_split(int group, int split);
  void open_tile(int tile);
  const uint16_t* mask_of(int row) const;
  Row list_cells(int row, int32_t* to) const;
  void list_distances();
  Run run_from(int first) const;
  HeadGroup load_heads(const Run& run, int kv_head);
  void compute(const Run& run, int kv_head);
  void attend(const Run& run, const HeadGroup& heads, int piece, const Partial& state) const;
  void clear(const Partial& state, int n_rows) const;
  void merge(const Partial& piece, const Partial& total) const;
  Partial state_at(float* floats, int n_rows) const;
  Partial state_of(const Partial& states, int row) const;
  Partial shared_state(int group, int piece) const;
  float share(const Partial& state, int g, int head) const;
  void store(int group, const Partial& state) const;

  const FlashAttnNode& node_;
  const AttentionKernels& kernels_;
  const float scale_;
  int32_t* cells_;
  float* distances_;  // of the cells of the tile's row, with ALiBi
  float* q_;
  Partial total_;  // of the rows of a run
  Partial piece_;
  int32_t* counts_;  // pieces of each row, with splits
  float* states_;    // [group][piece], with splits
  int tile_ = -1;
  int n_rows_ = 0;  // of the tile
  int n_runs_ = 0;
  std::array<float, kMaxQueries> slopes_{};  // of the heads that are loaded, with ALiBi
  std::array<Row, kMaxQueries> rows_{};
  std::array<Run, kMaxQueries> runs_{};
};

}  // namespace pyserve
