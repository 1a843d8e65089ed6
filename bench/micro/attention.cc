// Attention of requests that share one KV cache: our kernel against the vendored one, on one
// thread. Each request has cells of its own, one after the other in the cache, after those that all
// see.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "bench.h"
#include "one_node.h"

namespace pyserve::bench {
namespace {

struct Heads {
  const char* model;
  int n_dims;
  int n_head;
  int n_head_kv;
  ggml_type type = GGML_TYPE_F16;  // of K and V
  bool has_sinks = false;
};

// n_new: tokens that each request has in this step, the last ones of its n_cells. n_shared: cells
// at the beginning of all requests, part of n_cells.
struct Load {
  int n_requests;
  int n_new;
  int n_cells;
  int n_shared = 0;

  int n_own() const { return n_cells - n_shared; }
};

void fill(ggml_tensor* tensor) {
  const std::vector<float> values = random_floats(ggml_nelements(tensor));
  if (tensor->type == GGML_TYPE_F32) {
    ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
    return;
  }
  std::vector<char> kept(ggml_nbytes(tensor));
  ggml_quantize_chunk(tensor->type, values.data(), kept.data(), 0, ggml_nrows(tensor),
                      tensor->ne[0], nullptr);
  ggml_backend_tensor_set(tensor, kept.data(), 0, kept.size());
}

// A token sees the cells of its request up to its own.
void fill_mask(ggml_tensor* mask, const Load& load) {
  const ggml_fp16_t hidden = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
  std::vector<ggml_fp16_t> values(ggml_nelements(mask), hidden);
  for (int token = 0; token < load.n_requests * load.n_new; ++token) {
    const int request = token / load.n_new;
    const int n_seen = load.n_own() - load.n_new + token % load.n_new + 1;
    const auto row = values.begin() + static_cast<ptrdiff_t>(token) * mask->ne[0];
    std::fill_n(row, load.n_shared, ggml_fp32_to_fp16(0));
    std::fill_n(row + load.n_shared + request * load.n_own(), n_seen, ggml_fp32_to_fp16(0));
  }
  ggml_backend_tensor_set(mask, values.data(), 0, ggml_nbytes(mask));
}

// The heads of a cell lie side by side, as in a model's cache.
ggml_tensor* cache(OneNode& node, const Heads& heads, int n_cells) {
  const int n_row = heads.n_dims * heads.n_head_kv;
  ggml_tensor* cells = ggml_new_tensor_2d(node.context(), heads.type, n_row, n_cells);
  node.place(cells);
  fill(cells);
  ggml_tensor* view = ggml_view_3d(node.context(), cells, heads.n_dims, n_cells, heads.n_head_kv,
                                   cells->nb[1], ggml_row_size(cells->type, heads.n_dims), 0);
  ggml_backend_view_init(view);
  return view;
}

OneNode attention(const Heads& heads, const Load& load) {
  OneNode node;
  const int n_tokens = load.n_requests * load.n_new;
  const int n_cells = load.n_shared + load.n_requests * load.n_own();
  ggml_context* context = node.context();
  ggml_tensor* q = ggml_new_tensor_3d(context, GGML_TYPE_F32, heads.n_dims, n_tokens, heads.n_head);
  ggml_tensor* mask = ggml_new_tensor_2d(context, GGML_TYPE_F16, n_cells, n_tokens);
  node.place(q);
  node.place(mask);
  fill(q);
  fill_mask(mask, load);
  ggml_tensor* k = cache(node, heads, n_cells);
  ggml_tensor* v = cache(node, heads, n_cells);
  const float scale = 1.0F / std::sqrt(static_cast<float>(heads.n_dims));
  ggml_tensor* result = ggml_flash_attn_ext(context, q, k, v, mask, scale, 0.0F, 0.0F);
  if (heads.has_sinks) {
    ggml_tensor* sinks = ggml_new_tensor_1d(context, GGML_TYPE_F32, heads.n_head);
    node.place(sinks);
    fill(sinks);
    ggml_flash_attn_ext_add_sinks(result, sinks);
  }
  node.set_result(result);
  return node;
}

}  // namespace

void bench_attention() {
  const Kernels kernels;
  for (const Heads& heads : {Heads{"SmolLM2-135M", 64, 9, 3},
                             {"Gemma 3 270M", 256, 4, 1},
                             {"Llama 3.2 1B", 64, 32, 8},
                             {"Llama 3.2 1B, q8_0", 64, 32, 8, GGML_TYPE_Q8_0},
                             {"Llama 3.2 1B, q4_0", 64, 32, 8, GGML_TYPE_Q4_0},
                             {"gpt-oss, sinks", 64, 64, 8, GGML_TYPE_F16, true},
                             {"DeepSeek-V3, 576 of K and V", 576, 128, 1}}) {
    print_heading(std::string("attention of ") + heads.model, "llama.cpp");
    for (const Load& load : {Load{1, 1, 256},
                             {1, 1, 2048},
                             {1, 1, 32768},
                             {8, 1, 512},
                             {32, 1, 512},
                             {32, 1, 512, 448},
                             {1, 256, 256},
                             {1, 256, 2048}}) {
      OneNode node = attention(heads, load);
      compare_best(kernels,
                   std::to_string(load.n_requests) + " requests, " + std::to_string(load.n_new) +
                       " of " + std::to_string(load.n_cells) +
                       (load.n_shared == 0 ? "" : ", " + std::to_string(load.n_shared) + " shared"),
                   node);
    }
  }
}

}  // namespace pyserve::bench
