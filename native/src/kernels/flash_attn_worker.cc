#include "kernels/flash_attn_worker.h"

#include <algorithm>
#include <limits>

namespace pyserve {
namespace {

template <typename T>
T* at(const ggml_tensor* tensor, int64_t i1, int64_t i2, int64_t i3) {
  return reinterpret_cast<T*>(static_cast<char*>(tensor->data) + i1 * tensor->nb[1] +
                              i2 * tensor->nb[2] + i3 * tensor->nb[3]);
}

}  // namespace

FlashAttnWorker::FlashAttnWorker(const FlashAttnNode& node, const AttentionKernels& kernels,
                                 const ggml_compute_params* params)
    : node_(node), kernels_(kernels), scale_(op_param(node.out, 0)) {
  char* const buffer = static_cast<char*>(params->wdata);
  char* const mine = buffer + params->ith * node.thread_bytes();
  char* const shared = buffer + params->nth * node.thread_bytes();
  cells_ = reinterpret_cast<int32_t*>(mine);
  q_ = reinterpret_cast<float*>(mine + node.list_bytes());
  float* const states = q_ + static_cast<size_t>(node.n_group) * node.n_k;
  total_ = state_at(states);
  piece_ = state_at(states + node.state_floats());
  counts_ = reinterpret_cast<int32_t*>(shared);
  states_ = reinterpret_cast<float*>(shared + node.counts_bytes());
}

void FlashAttnWorker::run(int item) {
  const int split = item % node_.n_splits;
  const int group = item / node_.n_splits;
  const int kv_head = group % node_.n_head_kv;
  const int row = group / node_.n_head_kv;
  list_cells(row);
  load_q(row, kv_head);
  const HeadGroup heads = head_group(row, kv_head);
  const int n = n_pieces(n_cells_);
  if (node_.n_splits == 1) {
    attend(heads, 0, total_);
    for (int piece = 1; piece < n; ++piece) {
      attend(heads, piece, piece_);
      merge(piece_, total_);
    }
    store(group, total_);
    return;
  }
  if (split == 0 && kv_head == 0) counts_[row] = n;
  const int end = n * (split + 1) / node_.n_splits;
  for (int piece = n * split / node_.n_splits; piece < end; ++piece) {
    attend(heads, piece, shared_state(group, piece));
  }
}

void FlashAttnWorker::combine(int group) {
  const int n = counts_[group / node_.n_head_kv];
  const Partial total = shared_state(group, 0);
  if (n == 0) clear(total);
  for (int piece = 1; piece < n; ++piece) merge(shared_state(group, piece), total);
  store(group, total);
}

// Items of one row follow each other, so the list is mostly there already.
void FlashAttnWorker::list_cells(int row) {
  if (row == row_) return;
  row_ = row;
  const int stream = row / node_.n_tokens;
  const auto* mask =
      at<const uint16_t>(node_.mask, row % node_.n_tokens, 0, stream % node_.mask->ne[3]);
  n_cells_ = kernels_.list_cells(mask, node_.n_cells, cells_);
  if (node_.order != nullptr) node_.order->sort(cells_, n_cells_);
}

void FlashAttnWorker::load_q(int row, int kv_head) {
  for (int g = 0; g < node_.n_group; ++g) {
    const auto* from = at<const float>(node_.q, row % node_.n_tokens, kv_head * node_.n_group + g,
                                       row / node_.n_tokens);
    float* to = q_ + static_cast<size_t>(g) * node_.n_k;
    for (int d = 0; d < node_.n_k; ++d) to[d] = from[d] * scale_;
  }
}

HeadGroup FlashAttnWorker::head_group(int row, int kv_head) const {
  const int stream = row / node_.n_tokens;
  return {q_,
          at<const char>(node_.k, 0, kv_head, stream % node_.k->ne[3]),
          at<const char>(node_.v, 0, kv_head, stream % node_.v->ne[3]),
          node_.k->nb[1],
          node_.v->nb[1],
          node_.n_group,
          node_.n_k,
          node_.n_v};
}

void FlashAttnWorker::clear(const Partial& state) const {
  std::fill_n(state.max, node_.n_group, -std::numeric_limits<float>::infinity());
  std::fill_n(state.sum, node_.n_group, 0.0F);
  std::fill_n(state.acc, static_cast<size_t>(node_.n_group) * node_.n_v, 0.0F);
}

// `state` = that of one piece; of none where the row sees nothing.
void FlashAttnWorker::attend(const HeadGroup& heads, int piece, const Partial& state) const {
  clear(state);
  const int n_most = piece_cells(n_cells_);
  const int begin = piece * n_most;
  kernels_.attend(heads, cells_ + begin, std::min(n_most, n_cells_ - begin), state);
}

void FlashAttnWorker::merge(const Partial& piece, const Partial& total) const {
  kernels_.merge(piece, node_.n_group, node_.n_v, total);
}

Partial FlashAttnWorker::state_at(float* floats) const {
  return {floats, floats + node_.n_group, floats + 2 * static_cast<size_t>(node_.n_group)};
}

Partial FlashAttnWorker::shared_state(int group, int piece) const {
  const size_t index = static_cast<size_t>(group) * kMaxPieces + piece;
  return state_at(states_ + index * node_.state_floats());
}

// The result is [n_v, n_head, n_tokens, streams].
void FlashAttnWorker::store(int group, const Partial& state) const {
  for (int g = 0; g < node_.n_group; ++g) {
    const size_t head = static_cast<size_t>(group) * node_.n_group + g;
    const float* acc = state.acc + static_cast<size_t>(g) * node_.n_v;
    const float factor = state.sum[g] == 0 ? 0 : 1 / state.sum[g];
    auto* out =
        reinterpret_cast<float*>(static_cast<char*>(node_.out->data) + head * node_.out->nb[1]);
    for (int d = 0; d < node_.n_v; ++d) out[d] = acc[d] * factor;
  }
}

}  // namespace pyserve
