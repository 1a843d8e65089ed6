#include "kernels/attention/cell_lists.h"

#include <algorithm>

#include "ggml.h"

namespace pyserve {

void CellLists::begin(const ggml_tensor* mask, int n_threads) {
  mask_ = mask;
  rows_.resize(mask == nullptr ? 0 : mask->ne[1]);
  places_.resize(n_threads);
}

void CellLists::list(ListCellsFn list_cells, const CellSorter& order, int thread) {
  if (mask_ == nullptr) return;
  std::vector<int32_t>& all = places_[thread];
  const size_t n_threads = places_.size();
  const size_t end = rows_.size() * (thread + 1) / n_threads;
  const auto n_most = static_cast<size_t>(mask_->ne[0]);
  Place last{thread, 0, 0};
  for (size_t i = rows_.size() * thread / n_threads; i < end; ++i) {
    const size_t at = last.begin + last.n_cells;
    if (all.size() < at + n_most) all.resize(2 * at + n_most);
    const auto* mask =
        reinterpret_cast<const uint16_t*>(static_cast<const char*>(mask_->data) + i * mask_->nb[1]);
    int32_t* const cells = all.data() + at;
    const int n_cells = list_cells(mask, static_cast<int>(n_most), cells);
    order.sort(cells, n_cells);
    const int32_t* const before = all.data() + last.begin;
    if (n_cells >= last.n_cells && std::equal(before, before + last.n_cells, cells)) {
      std::copy(cells + last.n_cells, cells + n_cells, cells);
      last.n_cells = n_cells;
    } else {
      last = {thread, n_cells, at};
    }
    rows_[i] = last;
  }
}

}  // namespace pyserve
