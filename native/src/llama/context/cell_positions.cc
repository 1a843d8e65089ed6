#include "llama/context/cell_positions.h"

#include "base/check.h"
#include "llama-kv-cache.h"

namespace pyserve {

CellPositions::CellPositions(const llama_kv_cache& cache) : cells_(cache.get_cells(0)) {
  PYSERVE_CHECK(cache.get_n_stream() == 1);
  for (const uint32_t layer : cache.get_layer_ids()) {
    apply_to(cache.get_k_storage(static_cast<int32_t>(layer)));
  }
}

void CellPositions::sort(int32_t* cells, int n_cells) const {
  sort_by_position(cells, n_cells, [this](int32_t cell) { return cells_.pos_get(cell); });
}

}  // namespace pyserve
