#include "kernels/attention/cell_order.h"

#include "ggml.h"

namespace pyserve {
namespace {

const ggml_tensor* storage(const ggml_tensor* k) {
  return k->view_src != nullptr ? k->view_src : k;
}

}  // namespace

void CellOrder::apply_to(ggml_tensor* cache) {
  cache->extra = this;
  if (first_ == nullptr) first_ = cache;
}

bool CellOrder::begins_with(const ggml_tensor* k) const { return storage(k) == first_; }

CellOrder* cell_order(const ggml_tensor* k) { return static_cast<CellOrder*>(storage(k)->extra); }

}  // namespace pyserve
