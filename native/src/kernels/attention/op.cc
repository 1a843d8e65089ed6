#include "kernels/attention/op.h"

#include <algorithm>

#include "kernels/attention/node.h"
#include "kernels/attention/worker.h"

namespace pyserve {
namespace {

// K or V of a head: whole vectors of any rung, and whole blocks.
bool can_read(const ggml_tensor& cache) {
  constexpr int64_t kMostLanes = 16;
  return cell_type(cache.type) && cache.ne[0] % kMostLanes == 0 &&
         cache.ne[0] % ggml_blck_size(cache.type) == 0 && cache.nb[0] == ggml_type_size(cache.type);
}

}  // namespace

bool FlashAttnOp::can_compute(const ggml_tensor* op) {
  const ggml_tensor* q = op->src[0];
  const ggml_tensor* k = op->src[1];
  const ggml_tensor* v = op->src[2];
  const ggml_tensor* mask = op->src[3];
  if (mask == nullptr || q->type != GGML_TYPE_F32 || !can_read(*k) || !can_read(*v) ||
      mask->type != GGML_TYPE_F16 || op->type != GGML_TYPE_F32) {
    return false;
  }
  if (k->ne[2] != v->ne[2]) return false;
  if (q->ne[2] % k->ne[2] != 0) return false;
  if (mask->ne[2] != 1 || mask->nb[0] != sizeof(uint16_t)) return false;
  return q->nb[0] == sizeof(float);
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
