// The order of a cache's cells by the positions that the vendor gives them.
#pragma once

#include "kernels/attention/cell_order.h"

class llama_kv_cache;
class llama_kv_cells;

namespace pyserve {

// Thread: made on the engine thread; compute threads ask it while the engine thread decodes.
class CellPositions final : public CellOrder {
 public:
  // Attention over `cache` heeds it from now on. The cache, with one stream for all sequences, must
  // outlive it, and nothing may be computed with the cache after it has gone.
  explicit CellPositions(const llama_kv_cache& cache);

  void sort(int32_t* cells, int n_cells) const override;

 private:
  const llama_kv_cells& cells_;
};

}  // namespace pyserve
