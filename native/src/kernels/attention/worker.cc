#include "kernels/attention/worker.h"

#include <algorithm>
#include <cmath>
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
    : node_(node),
      kernels_(kernels),
      scale_(op_param(node.out, 0) / (node.soft_cap == 0 ? 1 : node.soft_cap)) {
  char* const buffer = static_cast<char*>(params->wdata);
  char* const mine = buffer + params->ith * node.thread_bytes();
  char* const shared = buffer + params->nth * node.thread_bytes();
  cells_ = reinterpret_cast<int32_t*>(mine);
  char* const after_lists = mine + node.n_tile_rows * node.list_bytes();
  distances_ = reinterpret_cast<float*>(after_lists);
  q_ = reinterpret_cast<float*>(after_lists + node.distance_bytes());
  float* const states = q_ + static_cast<size_t>(node.n_tile_rows) * node.n_group * node.n_k;
  total_ = state_at(states, node.n_tile_rows);
  piece_ = state_at(states + node.n_tile_rows * node.state_floats(), node.n_tile_rows);
  counts_ = reinterpret_cast<int32_t*>(shared);
  states_ = reinterpret_cast<float*>(shared + node.counts_bytes());
}

void FlashAttnWorker::run(int item) {
  if (node_.n_splits > 1) {
    run_split(item / node_.n_splits, item % node_.n_splits);
    return;
  }
  const int n_parts = node_.n_head_kv / node_.n_item_heads;
  open_tile(item / n_parts);
  const int first = item % n_parts * node_.n_item_heads;
  for (int i = 0; i < n_runs_; ++i) {
    for (int kv_head = first; kv_head < first + node_.n_item_heads; ++kv_head) {
      compute(runs_[i], kv_head);
    }
  }
}

// A tile is a row here.
void FlashAttnWorker::run_split(int group, int split) {
  const int row = group / node_.n_head_kv;
  const int kv_head = group % node_.n_head_kv;
  open_tile(row);
  const HeadGroup heads = load_heads(runs_[0], kv_head);
  const int n = n_pieces(rows_[0].n_cells);
  if (split == 0 && kv_head == 0) counts_[row] = n;
  const int end = n * (split + 1) / node_.n_splits;
  for (int piece = n * split / node_.n_splits; piece < end; ++piece) {
    attend(runs_[0], heads, piece, shared_state(group, piece));
  }
}

void FlashAttnWorker::combine(int group) {
  const int n = counts_[group / node_.n_head_kv];
  const Partial total = shared_state(group, 0);
  if (n == 0) clear(total, 1);
  for (int piece = 1; piece < n; ++piece) merge(shared_state(group, piece), total);
  store(group, total);
}

// Items of one tile follow each other, so its lists are mostly there already.
void FlashAttnWorker::open_tile(int tile) {
  if (tile == tile_) return;
  tile_ = tile;
  const int first = tile * node_.n_tile_rows;
  n_rows_ = std::min(node_.n_tile_rows, node_.n_rows - first);
  const bool is_listed = node_.order != nullptr && node_.order->lists().are_of(node_.mask);
  for (int i = 0; i < n_rows_; ++i) {
    rows_[i] = is_listed
                   ? node_.order->lists().row(first + i)
                   : list_cells(first + i, cells_ + i * (node_.list_bytes() / sizeof(int32_t)));
  }
  if (node_.max_bias != 0) list_distances();
  n_runs_ = 0;
  for (int i = 0; i < n_rows_; i += runs_[n_runs_++].n_rows) runs_[n_runs_] = run_from(i);
}

const uint16_t* FlashAttnWorker::mask_of(int row) const {
  const int stream = row / node_.n_tokens;
  return at<const uint16_t>(node_.mask, row % node_.n_tokens, 0, stream % node_.mask->ne[3]);
}

// With ALiBi a tile is a row.
void FlashAttnWorker::list_distances() {
  const uint16_t* mask = mask_of(tile_);
  const Row& row = rows_[0];
  for (int i = 0; i < row.n_cells; ++i) distances_[i] = ggml_fp16_to_fp32(mask[row.cells[i]]);
}

FlashAttnWorker::Row FlashAttnWorker::list_cells(int row, int32_t* to) const {
  const int n_cells = kernels_.list_cells(mask_of(row), node_.n_cells, to);
  if (node_.order != nullptr) node_.order->sort(to, n_cells);
  return {to, n_cells};
}

// The tokens of a prompt see what the one before saw and one cell more; requests with the same
// beginning share that. Rows are added as long as more is read once for several than without them.
FlashAttnWorker::Run FlashAttnWorker::run_from(int first) const {
  const int tile_row = tile_ * node_.n_tile_rows;
  const Row& head = rows_[first];
  Run run{first, 1, head.n_cells / kBlockCells * kBlockCells};
  for (int i = first + 1; i < n_rows_; ++i, ++run.n_rows) {
    const Row& row = rows_[i];
    if ((tile_row + i) / node_.n_tokens != (tile_row + first) / node_.n_tokens) break;
    if (piece_cells(row.n_cells) != piece_cells(head.n_cells)) break;
    // Rows of the same list need no look at it.
    int n = row.cells == head.cells
                ? std::min(run.n_shared, row.n_cells / kBlockCells * kBlockCells)
                : 0;
    while (n < run.n_shared && n + kBlockCells <= row.n_cells &&
           std::equal(head.cells + n, head.cells + n + kBlockCells, row.cells + n)) {
      n += kBlockCells;
    }
    if (n == 0 || n * run.n_rows < run.n_shared * (run.n_rows - 1)) break;
    run.n_shared = n;
  }
  if (run.n_rows == 1) run.n_shared = 0;
  return run;
}

HeadGroup FlashAttnWorker::load_heads(const Run& run, int kv_head) {
  const int first = tile_ * node_.n_tile_rows + run.first;
  float* to = q_;
  for (int row = first; row < first + run.n_rows; ++row) {
    for (int g = 0; g < node_.n_group; ++g, to += node_.n_k) {
      const auto* from = at<const float>(node_.q, row % node_.n_tokens, kv_head * node_.n_group + g,
                                         row / node_.n_tokens);
      for (int d = 0; d < node_.n_k; ++d) to[d] = from[d] * scale_;
    }
  }
  if (node_.max_bias != 0) {
    for (int g = 0; g < node_.n_group; ++g) slopes_[g] = node_.slope(kv_head * node_.n_group + g);
  }
  const int stream = first / node_.n_tokens;
  return {
      .q = q_,
      .k = at<const char>(node_.k, 0, kv_head / node_.n_parts, stream % node_.k->ne[3]),
      .v = at<const char>(node_.v, 0, kv_head / node_.n_parts, stream % node_.v->ne[3]),
      .k_stride = node_.k->nb[1],
      .v_stride = node_.v->nb[1],
      .n_q = run.n_rows * node_.n_group,
      .n_k = node_.n_k,
      .n_v = node_.n_v,
      .k_type = node_.k_type,
      .v_type = node_.v_type,
      .soft_cap = node_.soft_cap,
      .slopes = node_.max_bias == 0 ? nullptr : slopes_.data(),
      .distances = distances_,
  };
}

void FlashAttnWorker::compute(const Run& run, int kv_head) {
  const HeadGroup heads = load_heads(run, kv_head);
  int n = 0;
  for (int i = 0; i < run.n_rows; ++i) n = std::max(n, n_pieces(rows_[run.first + i].n_cells));
  attend(run, heads, 0, total_);
  for (int piece = 1; piece < n; ++piece) {
    attend(run, heads, piece, piece_);
    for (int i = 0; i < run.n_rows; ++i) {
      if (piece < n_pieces(rows_[run.first + i].n_cells)) {
        merge(state_of(piece_, i), state_of(total_, i));
      }
    }
  }
  for (int i = 0; i < run.n_rows; ++i) {
    const int row = tile_ * node_.n_tile_rows + run.first + i;
    store(row * node_.n_head_kv + kv_head, state_of(total_, i));
  }
}

// `state` = those of one piece of the rows; of none where a row sees nothing there.
void FlashAttnWorker::attend(const Run& run, const HeadGroup& heads, int piece,
                             const Partial& state) const {
  clear(state, run.n_rows);
  const int n_most = piece_cells(rows_[run.first].n_cells);
  const int begin = piece * n_most;
  const int n_shared = std::clamp(run.n_shared - begin, 0, n_most);
  HeadGroup own = heads;
  own.n_next = rows_[run.first].n_cells - begin - n_shared;
  if (n_shared > 0) kernels_.attend(own, rows_[run.first].cells + begin, n_shared, state);
  own.n_q = node_.n_group;
  for (int i = 0; i < run.n_rows; ++i, own.q += static_cast<size_t>(node_.n_group) * node_.n_k) {
    const Row& row = rows_[run.first + i];
    const int n_own = std::min(n_most, row.n_cells - begin) - n_shared;
    if (n_own <= 0) continue;
    own.distances = heads.distances + begin + n_shared;
    own.n_next = row.n_cells - begin - n_shared - n_own;
    kernels_.attend(own, row.cells + begin + n_shared, n_own, state_of(state, i));
  }
}

void FlashAttnWorker::clear(const Partial& state, int n_rows) const {
  const int n_heads = n_rows * node_.n_group;
  std::fill_n(state.max, n_heads, -std::numeric_limits<float>::infinity());
  std::fill_n(state.sum, n_heads, 0.0F);
  std::fill_n(state.acc, static_cast<size_t>(n_heads) * node_.n_v, 0.0F);
}

void FlashAttnWorker::merge(const Partial& piece, const Partial& total) const {
  kernels_.merge(piece, node_.n_group, node_.n_v, total);
}

Partial FlashAttnWorker::state_at(float* floats, int n_rows) const {
  const int n_heads = n_rows * node_.n_group;
  return {floats, floats + n_heads, floats + 2 * static_cast<size_t>(n_heads)};
}

Partial FlashAttnWorker::state_of(const Partial& states, int row) const {
  const int head = row * node_.n_group;
  return {states.max + head, states.sum + head, states.acc + static_cast<size_t>(head) * node_.n_v};
}

Partial FlashAttnWorker::shared_state(int group, int piece) const {
  const size_t index = static_cast<size_t>(group) * kMaxPieces + piece;
  return state_at(states_ + index * node_.state_floats(), 1);
}

// What of the softmax's sum of a head one unit of acc is.
float FlashAttnWorker::share(const Partial& state, int g, int head) const {
  float sum = state.sum[g];
  float shrink = 1;
  if (node_.sinks != nullptr) {
    const float max = std::max(state.max[g], node_.sinks[head]);
    shrink = std::exp(state.max[g] - max);
    sum = sum * shrink + std::exp(node_.sinks[head] - max);
  }
  return sum == 0 ? 0 : shrink / sum;
}

// The result is [n_v, n_head, n_tokens, streams].
void FlashAttnWorker::store(int group, const Partial& state) const {
  for (int g = 0; g < node_.n_group; ++g) {
    const size_t head = static_cast<size_t>(group) * node_.n_group + g;
    const float* acc = state.acc + static_cast<size_t>(g) * node_.n_v;
    const float factor = share(state, g, group % node_.n_head_kv * node_.n_group + g);
    auto* out =
        reinterpret_cast<float*>(static_cast<char*>(node_.out->data) + head * node_.out->nb[1]);
    for (int d = 0; d < node_.n_v; ++d) out[d] = acc[d] * factor;
  }
}

}  // namespace pyserve
