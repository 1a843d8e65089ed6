#include "kernels/attention/op.h"

#include <algorithm>

#include "kernels/attention/node.h"
#include "kernels/attention/worker.h"

namespace pyserve {

bool FlashAttnOp::can_compute(const ggml_tensor* op) {
  const ggml_tensor* q = op->src[0];
  const ggml_tensor* k = op->src[1];
  const ggml_tensor* v = op->src[2];
  const ggml_tensor* mask = op->src[3];
  if (mask == nullptr || op->src[4] != nullptr) return false;
  if (op_param(op, 1) != 0 || op_param(op, 2) != 0) return false;
  if (q->type != GGML_TYPE_F32 || k->type != GGML_TYPE_F16 || v->type != GGML_TYPE_F16 ||
      mask->type != GGML_TYPE_F16 || op->type != GGML_TYPE_F32) {
    return false;
  }
  if (k->ne[0] % 16 != 0 || v->ne[0] % 16 != 0 || k->ne[2] != v->ne[2]) return false;
  if (q->ne[2] % k->ne[2] != 0 || q->ne[2] / k->ne[2] > kMaxQueries) return false;
  if (mask->ne[2] != 1 || mask->nb[0] != sizeof(uint16_t)) return false;
  return q->nb[0] == sizeof(float) && k->nb[0] == sizeof(uint16_t) && v->nb[0] == sizeof(uint16_t);
}

bool FlashAttnOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  // Tiles and splits depend on the number of threads, which may be smaller when the node is
  // computed.
  for (int n = 1; n <= n_threads; ++n) {
    const FlashAttnNode node(op, n);
    size = std::max(size, n * node.thread_bytes() + node.shared_bytes());
  }
  return true;
}

bool FlashAttnOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const FlashAttnNode node(op, params->nth);
  FlashAttnWorker worker(node, kernels_, params);
  if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
  if (node.begins_lists()) {
    if (params->ith == 0) {
      node.order->lists().begin(node.can_be_listed() ? node.mask : nullptr, params->nth);
    }
    ggml_barrier(params->threadpool);
    node.order->lists().list(kernels_.list_cells, *node.order, params->ith);
  }
  ggml_barrier(params->threadpool);
  for (int item = params->ith; item < node.n_items();
       item = ggml_threadpool_chunk_add(params->threadpool, 1)) {
    worker.run(item);
  }
  if (node.n_splits == 1) return true;
  ggml_barrier(params->threadpool);
  for (int group = params->ith; group < node.n_groups; group += params->nth) worker.combine(group);
  return true;
}

}  // namespace pyserve
