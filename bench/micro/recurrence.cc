// Nodes of recurrent layers: our kernels against the vendored ones, on one thread.

#include <initializer_list>
#include <string>
#include <vector>

#include "bench.h"
#include "one_node.h"

namespace pyserve::bench {
namespace {

struct Batch {
  int n_tokens;  // of each request
  int n_requests;
  std::string text() const {
    return n_tokens == 1 ? std::to_string(n_requests) + " requests"
                         : std::to_string(n_tokens) + " tokens of a prompt";
  }
};
const std::initializer_list<Batch> kBatches{{1, 1}, {1, 8}, {512, 1}};

ggml_tensor* filled(OneNode& node, std::initializer_list<int64_t> shape, float scale = 0.1F) {
  ggml_tensor* out =
      ggml_new_tensor(node.context(), GGML_TYPE_F32, static_cast<int>(shape.size()), shape.begin());
  node.place(out);
  std::vector<float> values = random_floats(ggml_nelements(out));
  for (float& x : values) x *= scale;
  ggml_backend_tensor_set(out, values.data(), 0, ggml_nbytes(out));
  return out;
}

// Mamba-2 of Granite 4 H Tiny.
OneNode scan(const Batch& batch) {
  constexpr int kState = 128, kRows = 64, kHeads = 48;
  const auto [n, n_requests] = batch;
  OneNode node;
  ggml_tensor* ids = ggml_new_tensor_1d(node.context(), GGML_TYPE_I32, n_requests);
  node.place(ids);
  for (int i = 0; i < n_requests; ++i) ggml_backend_tensor_set(ids, &i, i * sizeof(int), sizeof(i));
  // B and C are part of what the convolution makes.
  ggml_tensor* mixed = filled(node, {kRows * kHeads + 2 * kState, n, n_requests});
  const auto part = [&](int n_row, int n_rows, size_t begin) {
    return ggml_view_4d(node.context(), mixed, n_row, n_rows, n, n_requests, n_row * sizeof(float),
                        mixed->nb[1], mixed->nb[2], begin * sizeof(float));
  };
  node.set_result(ggml_ssm_scan(node.context(), filled(node, {kState, kRows, kHeads, n_requests}),
                                part(kRows, kHeads, 0), filled(node, {kHeads, n, n_requests}),
                                filled(node, {1, kHeads}, -1), part(kState, 1, kRows * kHeads),
                                part(kState, 1, kRows * kHeads + kState), ids, 1));
  return node;
}

// A gated delta net of Qwen3.5 2B.
OneNode delta_net(const Batch& batch) {
  constexpr int kState = 128, kHeads = 16;
  const auto [n, n_requests] = batch;
  OneNode node;
  ggml_tensor* mixed = filled(node, {3 * kState * kHeads, n, n_requests});
  const auto part = [&](size_t index) {
    return ggml_view_4d(node.context(), mixed, kState, kHeads, n, n_requests,
                        kState * sizeof(float), mixed->nb[1], mixed->nb[2],
                        index * kState * kHeads * sizeof(float));
  };
  node.set_result(ggml_gated_delta_net(node.context(), part(0), part(1), part(2),
                                       filled(node, {1, kHeads, n, n_requests}, -0.1F),
                                       filled(node, {1, kHeads, n, n_requests}),
                                       filled(node, {kState, kState, kHeads, n_requests}), 1));
  return node;
}

// RWKV 7 of 1.5 billion weights.
OneNode rwkv7(const Batch& batch) {
  constexpr int kState = 64, kHeads = 32;
  const int n_all = batch.n_tokens * batch.n_requests;
  OneNode node;
  ggml_tensor* x[6];
  for (ggml_tensor*& each : x) each = filled(node, {kState, kHeads, n_all});
  node.set_result(ggml_rwkv_wkv7(node.context(), x[0], x[1], x[2], x[3], x[4], x[5],
                                 filled(node, {kState * kState * kHeads, batch.n_requests})));
  return node;
}

constexpr int kChannels = 3328;  // of Granite 4 H Tiny
constexpr int kTaps = 4;

OneNode convolution(const Batch& batch) {
  OneNode node;
  node.set_result(ggml_ssm_conv(
      node.context(), filled(node, {kTaps - 1 + batch.n_tokens, kChannels, batch.n_requests}),
      filled(node, {kTaps, kChannels})));
  return node;
}

OneNode concat(const Batch& batch) {
  OneNode node;
  ggml_tensor* columns = filled(node, {kChannels, batch.n_tokens, batch.n_requests});
  node.set_result(ggml_concat(node.context(),
                              filled(node, {kTaps - 1, kChannels, batch.n_requests}),
                              ggml_transpose(node.context(), columns), 0));
  return node;
}

}  // namespace

void bench_recurrence() {
  const Kernels kernels;
  const std::initializer_list<std::pair<const char*, OneNode (*)(const Batch&)>> nodes{
      {"Mamba-2", scan},
      {"gated delta net", delta_net},
      {"RWKV 7", rwkv7},
      {"convolution", convolution},
      {"new columns", concat}};
  for (const auto& [name, make] : nodes) {
    print_heading(name, "llama.cpp");
    for (const Batch& batch : kBatches) {
      OneNode node = make(batch);
      compare_best(kernels, batch.text(), node);
    }
  }
}

}  // namespace pyserve::bench
