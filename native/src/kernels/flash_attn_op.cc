#include "kernels/flash_attn_op.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;
constexpr int kItemsPerThread = 4;
constexpr int kMaxSplits = 32;
constexpr int kMinCellsPerSplit = 64;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// The node's tensors and how its work is cut up.
//
//   item   = (row, KV head, split); row = (stream, token)
//   wdata  = [per thread: cell list | q | acc of one group] [partials: max, sum, acc per head,
//   split]
struct Node {
  Node(const ggml_tensor* node, int n_threads)
      : q(node->src[0]),
        k(node->src[1]),
        v(node->src[2]),
        mask(node->src[3]),
        out(node),
        n_k(static_cast<int>(k->ne[0])),
        n_v(static_cast<int>(v->ne[0])),
        n_tokens(static_cast<int>(q->ne[1])),
        n_head(static_cast<int>(q->ne[2])),
        n_head_kv(static_cast<int>(k->ne[2])),
        n_group(n_head / n_head_kv),
        n_cells(static_cast<int>(k->ne[1])),
        n_rows(n_tokens * static_cast<int>(q->ne[3])) {
    const int n_wanted = kItemsPerThread * n_threads;
    const int n_whole = n_rows * n_head_kv;
    const int by_cells = std::max(1, n_cells / kMinCellsPerSplit);
    n_splits = n_threads == 1 || n_whole >= n_wanted
                   ? 1
                   : std::min({(n_wanted + n_whole - 1) / n_whole, by_cells, kMaxSplits});
  }

  int n_items() const { return n_rows * n_head_kv * n_splits; }
  size_t thread_bytes() const {
    const size_t floats = static_cast<size_t>(n_group) * (n_k + n_v + 2);
    return round_up(static_cast<size_t>(n_cells) * sizeof(int32_t), kCacheLine) +
           round_up(floats * sizeof(float), kCacheLine);
  }
  size_t partial_floats() const { return static_cast<size_t>(n_v) + 2; }
  size_t partial_bytes() const {
    if (n_splits == 1) return 0;
    return static_cast<size_t>(n_rows) * n_head * n_splits * partial_floats() * sizeof(float);
  }

  const ggml_tensor* q;
  const ggml_tensor* k;
  const ggml_tensor* v;
  const ggml_tensor* mask;
  const ggml_tensor* out;
  int n_k;
  int n_v;
  int n_tokens;
  int n_head;
  int n_head_kv;
  int n_group;
  int n_cells;
  int n_rows;
  int n_splits;
};

float op_param(const ggml_tensor* op, int index) {
  float value = 0;
  std::memcpy(&value, reinterpret_cast<const float*>(op->op_params) + index, sizeof(float));
  return value;
}

template <typename T>
T* at(const ggml_tensor* tensor, int64_t i1, int64_t i2, int64_t i3) {
  return reinterpret_cast<T*>(static_cast<char*>(tensor->data) + i1 * tensor->nb[1] +
                              i2 * tensor->nb[2] + i3 * tensor->nb[3]);
}

// One thread's view of the work buffer, and the rows it has looked at.
class Worker {
 public:
  Worker(const Node& node, const AttentionKernels& kernels, const ggml_compute_params* params)
      : node_(node), kernels_(kernels), scale_(op_param(node.out, 0)) {
    char* mine = static_cast<char*>(params->wdata) + params->ith * node.thread_bytes();
    cells_ = reinterpret_cast<int32_t*>(mine);
    q_ = reinterpret_cast<float*>(
        mine + round_up(static_cast<size_t>(node.n_cells) * sizeof(int32_t), kCacheLine));
    max_ = q_ + static_cast<size_t>(node.n_group) * node.n_k;
    sum_ = max_ + node.n_group;
    acc_ = sum_ + node.n_group;
    partials_ = reinterpret_cast<float*>(static_cast<char*>(params->wdata) +
                                         params->nth * node.thread_bytes());
  }

  void run(int item) {
    const int split = item % node_.n_splits;
    const int kv_head = item / node_.n_splits % node_.n_head_kv;
    const int row = item / (node_.n_splits * node_.n_head_kv);
    list_cells(row);
    load_q(row, kv_head);
    std::fill_n(max_, node_.n_group, -std::numeric_limits<float>::infinity());
    std::fill_n(sum_, node_.n_group, 0.0F);
    std::fill_n(acc_, static_cast<size_t>(node_.n_group) * node_.n_v, 0.0F);
    const int begin = static_cast<int>(static_cast<int64_t>(n_cells_) * split / node_.n_splits);
    const int end = static_cast<int>(static_cast<int64_t>(n_cells_) * (split + 1) / node_.n_splits);
    const int stream = row / node_.n_tokens;
    const HeadGroup group{q_,
                          at<const char>(node_.k, 0, kv_head, stream % node_.k->ne[3]),
                          at<const char>(node_.v, 0, kv_head, stream % node_.v->ne[3]),
                          node_.k->nb[1],
                          node_.v->nb[1],
                          node_.n_group,
                          node_.n_k,
                          node_.n_v};
    kernels_.attend(group, cells_ + begin, end - begin, {max_, sum_, acc_});
    store(row, kv_head, split);
  }

  // Puts the splits of one (row, head) together.
  void combine(int row, int head) {
    const float* parts = partial(row, head, 0);
    const size_t stride = node_.partial_floats();
    float max = -std::numeric_limits<float>::infinity();
    for (int s = 0; s < node_.n_splits; ++s) max = std::max(max, parts[s * stride]);
    float* out = output(row, head);
    std::fill_n(out, node_.n_v, 0.0F);
    float sum = 0;
    for (int s = 0; s < node_.n_splits; ++s) {
      const float* part = parts + s * stride;
      if (part[1] == 0) continue;
      const float weight = std::exp(part[0] - max);
      sum += part[1] * weight;
      for (int d = 0; d < node_.n_v; ++d) out[d] += part[2 + d] * weight;
    }
    divide(out, sum);
  }

 private:
  // Items of one row follow each other, so the list is mostly there already.
  void list_cells(int row) {
    if (row == row_) return;
    row_ = row;
    const int stream = row / node_.n_tokens;
    const auto* mask =
        at<const uint16_t>(node_.mask, row % node_.n_tokens, 0, stream % node_.mask->ne[3]);
    n_cells_ = kernels_.list_cells(mask, node_.n_cells, cells_);
  }

  void load_q(int row, int kv_head) {
    for (int g = 0; g < node_.n_group; ++g) {
      const auto* from = at<const float>(node_.q, row % node_.n_tokens, kv_head * node_.n_group + g,
                                         row / node_.n_tokens);
      float* to = q_ + static_cast<size_t>(g) * node_.n_k;
      for (int d = 0; d < node_.n_k; ++d) to[d] = from[d] * scale_;
    }
  }

  void store(int row, int kv_head, int split) {
    for (int g = 0; g < node_.n_group; ++g) {
      const int head = kv_head * node_.n_group + g;
      const float* acc = acc_ + static_cast<size_t>(g) * node_.n_v;
      if (node_.n_splits == 1) {
        float* out = output(row, head);
        std::copy_n(acc, node_.n_v, out);
        divide(out, sum_[g]);
        continue;
      }
      float* part = partial(row, head, split);
      part[0] = max_[g];
      part[1] = sum_[g];
      std::copy_n(acc, node_.n_v, part + 2);
    }
  }

  float* partial(int row, int head, int split) {
    const size_t index = (static_cast<size_t>(row) * node_.n_head + head) * node_.n_splits + split;
    return partials_ + index * node_.partial_floats();
  }

  // The result is [n_v, n_head, n_tokens, streams].
  float* output(int row, int head) {
    return reinterpret_cast<float*>(static_cast<char*>(node_.out->data) +
                                    (static_cast<size_t>(row) * node_.n_head + head) *
                                        node_.out->nb[1]);
  }

  void divide(float* out, float sum) const {
    const float factor = sum == 0 ? 0 : 1 / sum;
    for (int d = 0; d < node_.n_v; ++d) out[d] *= factor;
  }

  const Node& node_;
  const AttentionKernels& kernels_;
  const float scale_;
  int32_t* cells_;
  float* q_;
  float* max_;
  float* sum_;
  float* acc_;
  float* partials_;
  int row_ = -1;
  int n_cells_ = 0;
};

}  // namespace

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
  if (q->ne[2] % k->ne[2] != 0 || q->ne[2] / k->ne[2] > kMaxGroup) return false;
  if (mask->ne[2] != 1 || mask->nb[0] != sizeof(uint16_t)) return false;
  return q->nb[0] == sizeof(float) && k->nb[0] == sizeof(uint16_t) && v->nb[0] == sizeof(uint16_t);
}

bool FlashAttnOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  const Node node(op, n_threads);
  // Splits depend on the number of threads, which may be smaller when the node is computed.
  size_t partials = 0;
  for (int n = 2; n <= n_threads; ++n) partials = std::max(partials, Node(op, n).partial_bytes());
  size = std::max(size, n_threads * node.thread_bytes() + partials);
  return true;
}

bool FlashAttnOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const Node node(op, params->nth);
  Worker worker(node, kernels_, params);
  if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
  ggml_barrier(params->threadpool);
  for (int item = params->ith; item < node.n_items();
       item = ggml_threadpool_chunk_add(params->threadpool, 1)) {
    worker.run(item);
  }
  if (node.n_splits == 1) return true;
  ggml_barrier(params->threadpool);
  const int n_heads = node.n_rows * node.n_head;
  for (int i = params->ith; i < n_heads; i += params->nth) {
    worker.combine(i / node.n_head, i % node.n_head);
  }
  return true;
}

}  // namespace pyserve
