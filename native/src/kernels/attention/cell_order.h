// Orders the cells of a KV cache by position, so that attention sums them up alike in every place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/attention/cell_lists.h"

struct ggml_tensor;

namespace pyserve {

// Where a token's cells lie in the cache depends on what was computed before. Their sum is rounded
// alike in every place when it is taken in the order of positions.
// Thread: any while a graph is computed; positions change only between graphs.
class CellOrder : public CellSorter {
 public:
  // Attention over `cache`, the tensor of a layer's K, heeds this order from now on; it must live
  // as long as graphs with the tensor are computed. The first one is of the layer that graphs begin
  // with.
  void apply_to(ggml_tensor* cache);
  // Whether `k`, or what it is a view of, is the first of apply_to(): the mask is a new one then.
  bool begins_with(const ggml_tensor* k) const;
  // What the graph that is computed sees of the cache, from its first layer on.
  CellLists& lists() { return lists_; }

 private:
  const ggml_tensor* first_ = nullptr;
  CellLists lists_;
};

// Of the cache that `k` is a view of; nullptr: its cells are summed as they lie.
CellOrder* cell_order(const ggml_tensor* k);

// How many leading cells have positions that count up by one. Cells that are neighbours in memory,
// as most are, are looked at many at a time.
template <typename Position>
int run_length(const int32_t* cells, int n_cells, Position position) {
  constexpr int kChunk = 64;
  const int32_t first = position(cells[0]);
  for (int begin = 0; begin < n_cells; begin += kChunk) {
    const int n = std::min(kChunk, n_cells - begin);
    const int32_t cell = cells[begin];
    int32_t n_others = 0;
    if (cells[begin + n - 1] - cell == n - 1) {
      for (int i = 0; i < n; ++i) n_others += position(cell + i) != first + begin + i;
    } else {
      for (int i = 0; i < n; ++i) n_others += position(cells[begin + i]) != first + begin + i;
    }
    if (n_others == 0) continue;
    int end = begin;
    while (position(cells[end]) == first + end) ++end;
    return end;
  }
  return n_cells;
}

// Sorts cells by position(cell), equal ones by index. The positions that a token sees are a run of
// numbers without gaps. They are mostly in order, or in two parts where the cache was filled to its
// end and then from its beginning; otherwise every cell goes to the place that its position names.
template <typename Position>
void sort_by_position(int32_t* cells, int n_cells, Position position) {
  if (n_cells == 0) return;
  const int n_run = run_length(cells, n_cells, position);
  if (n_run == n_cells) return;
  const int n_rest = n_cells - n_run;
  if (run_length(cells + n_run, n_rest, position) == n_rest &&
      position(cells[n_cells - 1]) + 1 == position(cells[0])) {
    std::rotate(cells, cells + n_run, cells + n_cells);
    return;
  }
  int32_t first = position(cells[0]);
  int32_t last = first;
  for (int i = 0; i < n_cells; ++i) {
    first = std::min(first, position(cells[i]));
    last = std::max(last, position(cells[i]));
  }
  bool is_without_gaps = last - first == n_cells - 1;
  for (int i = 0; is_without_gaps && i < n_cells; ++i) {
    for (int32_t place = position(cells[i]) - first; is_without_gaps && place != i;
         place = position(cells[i]) - first) {
      is_without_gaps = position(cells[place]) - first != place;
      std::swap(cells[i], cells[place]);
    }
  }
  if (is_without_gaps) return;
  std::sort(cells, cells + n_cells, [&](int32_t a, int32_t b) {
    return std::pair(position(a), a) < std::pair(position(b), b);
  });
}

}  // namespace pyserve
