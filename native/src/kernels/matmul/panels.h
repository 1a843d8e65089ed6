// Weights laid out once more for the integer product: 16 rows side by side.
//
// As a file has them, 16 rows are moved between lanes each time they are multiplied, which is most
// of the work of a single column. A panel is 16 rows of which 4 bytes each take turns:
//
//   | type                   | a row before it is dealt out, in units of 4 bytes            |
//   | Q4_1 Q5_1 Q2_K Q4_K    | as in the file                                               |
//   | Q5_K IQ4_XS            |                                                              |
//   | Q4_0 Q5_0 Q8_0 IQ4_NL  | two blocks without their scales, then both scales            |
//   | MXFP4                  | four blocks, or what is left, without scales, then all these |
//   | Q3_K Q6_K              | as in the file, two bytes more after each block              |
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

struct ggml_tensor;

namespace pyserve {

// Owns the panels of some weights. Their memory is asked for in huge pages, which the kernel grants
// or not. The weights stay where and as they are; the pages of a mapped file are given back to the
// system until somebody reads them again (rows of a token embedding, say).
// Thread: made and destroyed while nothing computes with the weights.
class Panels {
 public:
  Panels() = default;
  // Lays out those of `weights` that are matrices of a known type in the file's layout, or several
  // one after the other (experts); without our kernels, or without the memory, none. With up to
  // `n_threads` threads. REQUIRES: the weights outlive this.
  explicit Panels(std::span<ggml_tensor* const> weights, int n_threads = 1);
  ~Panels();
  Panels(Panels&& other) noexcept;
  Panels& operator=(Panels&& other) noexcept;

  size_t n_bytes() const { return n_bytes_; }

 private:
  char* memory_ = nullptr;
  size_t n_bytes_ = 0;
  std::vector<ggml_tensor*> weights_;
};

// Whether these weights, of which only type and shape are looked at, can be in panels and are best
// there. REQUIRES: install_kernels() was called.
bool are_best_in_panels(const ggml_tensor* weights);

// How many panels each matrix of these weights has.
int64_t panels_of_a_matrix(const ggml_tensor* weights);

// The panels of these weights, one after the other, of WeightType::panel_bytes() each, the last one
// of a matrix filled up with its last row; nullptr: there are none. REQUIRES: the weights lie in
// the CPU's own memory.
const char* panels_of(const ggml_tensor* weights);

}  // namespace pyserve
