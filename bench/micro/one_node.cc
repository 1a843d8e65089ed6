#include "one_node.h"

#include <algorithm>
#include <random>

#include "base/kernel_rung.h"
#include "bench.h"
#include "ggml-cpu.h"
#include "ladder/use_kernels.h"
#include "traits.h"

namespace pyserve::bench {

Kernels::Kernels() {
  auto& types = ggml_backend_cpu_get_extra_buffer_types();
  use_kernels();
  if (rung_in_force() != Rung::kStock) ours_ = types.front();
}

void Kernels::use_ours(bool is_ours) const {
  auto& types = ggml_backend_cpu_get_extra_buffer_types();
  types.erase(std::remove(types.begin(), types.end(), ours_), types.end());
  if (is_ours && ours_ != nullptr) types.insert(types.begin(), ours_);
}

OneNode::OneNode() : context_(ggml_init({16U << 20, nullptr, true})) {}

void OneNode::place(ggml_tensor* tensor) { place(tensor, ggml_backend_cpu_buffer_type()); }

void OneNode::place(ggml_tensor* tensor, ggml_backend_buffer_type_t type) {
  ggml_backend_buffer* buffer = ggml_backend_buft_alloc_buffer(type, ggml_nbytes(tensor) + 64);
  buffers_.emplace_back(buffer);
  ggml_backend_tensor_alloc(buffer, tensor, ggml_backend_buffer_get_base(buffer));
}

void OneNode::set_result(ggml_tensor* result) {
  place(result);
  graph_ = ggml_new_graph(context_.get());
  ggml_build_forward_expand(graph_, result);
}

long OneNode::compute() {
  ggml_cplan plan = ggml_graph_plan(graph_, 1, nullptr);
  work_.resize(std::max(work_.size(), plan.work_size));
  plan.work_data = work_.data();
  return ggml_graph_compute(graph_, &plan);
}

void compare_best(const Kernels& kernels, const std::string& name, OneNode& node) {
  const auto run = [&](bool is_ours) {
    kernels.use_ours(is_ours);
    return node.compute();
  };
  compare_best(name, [&] { return run(true); }, [&] { return run(false); });
}

std::vector<float> random_floats(size_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(n);
  for (float& x : values) x = normal(random);
  return values;
}

}  // namespace pyserve::bench
