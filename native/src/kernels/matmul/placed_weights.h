// Weights of a product where they lie: as in the file, in panels, or repacked.
#pragma once

#include "kernels/matmul/weight_types.h"

namespace pyserve {

// The kernel for some weights, and where it finds them. Of experts, which lie one after the other,
// each is a matrix of its own.
struct PlacedWeights {
  PlacedWeights(const Int8GemmKernels& kernels, const ggml_tensor* weights);

  // What the kernel wants to know of the 16 rows from `first_row` on, of one matrix: rows past the
  // end repeat the last one, or the last group of those that lie together. From weight `first_k` of
  // the rows on, a multiple of kSuperBlock.
  void find(int64_t first_row, const char** rows, int64_t matrix = 0, int64_t first_k = 0) const;

  const ggml_tensor* tensor;
  const WeightType* type;              // nullptr: it is not known
  const Int8Kernel* kernel = nullptr;  // nullptr: there is none
  const char* panels = nullptr;        // nullptr: the rows are as in the file, or repacked
  size_t n_panel_bytes = 0;            // of each
  int rows_together = 1;
};

}  // namespace pyserve
