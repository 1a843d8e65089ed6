// A graph of one operation, on one thread, with our kernels or with the vendored ones.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"

namespace pyserve::bench {

// Ours are the first in the list that the vendored library asks, once they are installed; they are
// in use again at the end.
class Kernels {
 public:
  Kernels();
  ~Kernels() { use_ours(true); }
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;

  void use_ours(bool is_ours) const;

 private:
  ggml_backend_buffer_type_t ours_ = nullptr;
};

// Tensors of one operation and what holds their numbers.
class OneNode {
 public:
  OneNode();

  ggml_context* context() const { return context_.get(); }
  // Gives a tensor memory of a kind, the CPU's own by default.
  void place(ggml_tensor* tensor);
  void place(ggml_tensor* tensor, ggml_backend_buffer_type_t type);
  // The operation to compute. REQUIRES: its sources have memory.
  void set_result(ggml_tensor* result);
  long compute();

 private:
  struct Free {
    void operator()(ggml_context* context) const { ggml_free(context); }
    void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
  };

  std::unique_ptr<ggml_context, Free> context_;
  std::vector<std::unique_ptr<ggml_backend_buffer, Free>> buffers_;
  ggml_cgraph* graph_ = nullptr;
  std::vector<uint8_t> work_;
};

// A row of a table: the least processor time with our kernels, and with the vendored ones.
void compare_best(const Kernels& kernels, const std::string& name, OneNode& node);

// Of normal distribution, the same ones every time.
std::vector<float> random_floats(size_t n);

}  // namespace pyserve::bench
