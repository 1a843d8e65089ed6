// A node of attention: its tensors, and how its work is cut up.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "ggml.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/cell_order.h"

namespace pyserve {

inline float op_param(const ggml_tensor* op, int index) {
  float value = 0;
  std::memcpy(&value, reinterpret_cast<const float*>(op->op_params) + index, sizeof(float));
  return value;
}

// Into how many parts, all of them as large, the query heads of a KV head are cut.
inline int n_parts_of(int n_queries) {
  int n = (n_queries + kMaxQueries - 1) / kMaxQueries;
  while (n_queries % n != 0) ++n;
  return n;
}

// What our kernels read; nothing for other types.
inline std::optional<CellType> cell_type(ggml_type type) {
  switch (type) {
    case GGML_TYPE_F32:
      return CellType::kF32;
    case GGML_TYPE_F16:
      return CellType::kF16;
    case GGML_TYPE_BF16:
      return CellType::kBf16;
    case GGML_TYPE_Q8_0:
      return CellType::kQ80;
    case GGML_TYPE_Q4_0:
      return CellType::kQ40;
    default:
      return std::nullopt;
  }
}

// The cells that a row sees are summed in pieces, which are put together in their order. Where
// pieces begin follows from the number of cells alone, so that sums are rounded alike whoever
// computes them: one thread all pieces, or many threads some each.
inline constexpr int kMaxPieces = 8;

inline int piece_cells(int n_cells) {
  constexpr int kMinPieceCells = 128;
  const int n_even = (n_cells + kMaxPieces - 1) / kMaxPieces;
  return std::max(kMinPieceCells, (n_even + kBlockCells - 1) / kBlockCells * kBlockCells);
}
inline int n_pieces(int n_cells) {
  return (n_cells + piece_cells(n_cells) - 1) / piece_cells(n_cells);
}

//   row    = (stream, token)
//   tile   = neighbouring rows, one with splits: what several of them see is read once for all
//   item   = (tile, KV head, split): some pieces of the cells; with many rows (tile, all KV heads),
//            which lie next to each other in memory
//   part   = query heads of a KV head, where they are more than are computed at once; what is said
//            of KV heads is then said of parts
//   group  = the query heads of a row and KV head; its state = max, sum of each, acc of each
//   wdata  = [per thread: cell lists | distances, with ALiBi | q, two states of a tile]
//            [pieces of each row] [states of all pieces]
struct FlashAttnNode {
  FlashAttnNode(const ggml_tensor* node, int n_threads)
      : q(node->src[0]),
        k(node->src[1]),
        v(node->src[2]),
        mask(node->src[3]),
        sinks(node->src[4] == nullptr ? nullptr : static_cast<const float*>(node->src[4]->data)),
        out(node),
        order(k->ne[3] == 1 ? cell_order(k) : nullptr),
        k_type(*cell_type(k->type)),
        v_type(*cell_type(v->type)),
        n_k(static_cast<int>(k->ne[0])),
        n_v(static_cast<int>(v->ne[0])),
        n_tokens(static_cast<int>(q->ne[1])),
        n_parts(n_parts_of(static_cast<int>(q->ne[2] / k->ne[2]))),
        n_head_kv(static_cast<int>(k->ne[2]) * n_parts),
        n_group(static_cast<int>(q->ne[2]) / n_head_kv),
        n_cells(static_cast<int>(k->ne[1])),
        n_rows(n_tokens * static_cast<int>(q->ne[3])),
        n_groups(n_rows * n_head_kv),
        max_bias(op_param(node, 1)),
        soft_cap(op_param(node, 2)) {
    constexpr int kItemsPerThread = 4;
    const int n_wanted = kItemsPerThread * n_threads;
    n_splits = n_threads == 1 || n_groups >= n_wanted
                   ? 1
                   : std::min((n_wanted + n_groups - 1) / n_groups, n_pieces(n_cells));
    n_item_heads = n_rows >= n_wanted ? n_head_kv : 1;
    // With ALiBi a cell is at another distance from each row.
    const int n_most_rows = max_bias == 0 ? kMaxQueries / n_group : 1;
    n_tile_rows = std::clamp(n_groups / n_item_heads / n_wanted, 1, n_most_rows);
  }

  // Whether it is the first of its graph, so that lists of cells are made anew.
  bool begins_lists() const { return order != nullptr && order->begins_with(k); }
  bool can_be_listed() const {
    return mask->ne[3] == 1 && n_rows <= mask->ne[1] && n_cells == mask->ne[0];
  }

  int n_items() const {
    return (n_rows + n_tile_rows - 1) / n_tile_rows * (n_head_kv / n_item_heads) * n_splits;
  }
  size_t list_bytes() const { return in_lines(static_cast<size_t>(n_cells) * sizeof(int32_t)); }
  size_t distance_bytes() const {
    return max_bias == 0 ? 0 : in_lines(static_cast<size_t>(n_cells) * sizeof(float));
  }
  // ALiBi's factor of a query head's distances.
  float slope(int head) const {
    const int n_heads = n_group * n_head_kv;
    const int n_power = std::bit_floor(static_cast<unsigned>(n_heads));
    if (head < n_power) return std::pow(2.0F, -max_bias * (head + 1) / n_power);
    return std::pow(2.0F, -max_bias / 2 * (2 * (head - n_power) + 1) / n_power);
  }
  size_t state_floats() const { return static_cast<size_t>(n_group) * (n_v + 2); }
  size_t thread_bytes() const {
    const size_t n_floats = static_cast<size_t>(n_group) * n_k + 2 * state_floats();
    return n_tile_rows * (list_bytes() + in_lines(n_floats * sizeof(float))) + distance_bytes();
  }
  size_t counts_bytes() const { return in_lines(static_cast<size_t>(n_rows) * sizeof(int32_t)); }
  size_t shared_bytes() const {
    if (n_splits == 1) return 0;
    return counts_bytes() + n_groups * kMaxPieces * state_floats() * sizeof(float);
  }

  const ggml_tensor* q;
  const ggml_tensor* k;
  const ggml_tensor* v;
  const ggml_tensor* mask;
  const float* sinks;  // of each query head, a score without a V; nullptr: none
  const ggml_tensor* out;
  CellOrder* order;
  CellType k_type;
  CellType v_type;
  int n_k;
  int n_v;
  int n_tokens;
  int n_parts;  // of a KV head
  int n_head_kv;
  int n_group;
  int n_cells;
  int n_rows;
  int n_groups;    // of all rows
  float max_bias;  // of ALiBi; 0: none
  float soft_cap;  // 0: none
  int n_splits;
  int n_item_heads;  // KV heads
  int n_tile_rows;

 private:
  static size_t in_lines(size_t n_bytes) {
    constexpr size_t kCacheLine = 64;
    return (n_bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  }
};

}  // namespace pyserve
