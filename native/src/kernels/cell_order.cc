#include "kernels/cell_order.h"

#include "ggml.h"

namespace pyserve {

void set_cell_order(ggml_tensor* cache, const CellOrder* order) {
  cache->extra = const_cast<CellOrder*>(order);
}

const CellOrder* cell_order(const ggml_tensor* k) {
  return static_cast<const CellOrder*>((k->view_src != nullptr ? k->view_src : k)->extra);
}

}  // namespace pyserve
