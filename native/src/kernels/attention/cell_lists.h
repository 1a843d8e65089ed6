// The cells that the rows of a mask see, as lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/attention/attention.h"

struct ggml_tensor;

namespace pyserve {

// In which order the cells that one token sees are summed up.
class CellSorter {
 public:
  virtual ~CellSorter() = default;
  // Puts cells, given by index, into that order.
  virtual void sort(int32_t* cells, int n_cells) const = 0;
};

// Made at the first node of attention with a mask, and good for the other layers of the graph.
// A row that sees what the row before does and more, as in a prompt, has the same list, longer.
// Thread: begin() alone, then list() from every thread, then all else from any; barriers between.
class CellLists {
 public:
  struct Row {
    const int32_t* cells;
    int n_cells;
  };

  // `mask` = [rows][cells] of 16-bit floats, one stream; nullptr: there are no lists.
  void begin(const ggml_tensor* mask, int n_threads);
  // Lists the rows of a thread.
  void list(ListCellsFn list_cells, const CellSorter& order, int thread);

  // Whether they are of `mask`, not nullptr.
  bool are_of(const ggml_tensor* mask) const { return mask == mask_; }
  Row row(int i) const {
    const Place& place = rows_[i];
    return {places_[place.thread].data() + place.begin, place.n_cells};
  }

 private:
  struct Place {
    int thread;
    int n_cells;
    size_t begin;
  };

  const ggml_tensor* mask_ = nullptr;
  std::vector<Place> rows_;
  std::vector<std::vector<int32_t>> places_;  // of each thread; only grows
};

}  // namespace pyserve
