#include "kernels/matmul/id_op.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "ggml-cpu-impl.h"
#include "kernels/matmul/columns.h"
#include "kernels/matmul/left_columns.h"
#include "kernels/matmul/panel_split.h"
#include "kernels/matmul/panels.h"
#include "kernels/matmul/placed_weights.h"

namespace pyserve {
namespace {

constexpr size_t kCacheLine = 64;

// The sizes of a node. A pair is a column and one of the experts that it wants.
struct Sizes {
  explicit Sizes(const ggml_tensor* op)
      : n_k(op->src[0]->ne[0]),
        n_experts(op->src[0]->ne[2]),
        n_wanted(op->src[2]->ne[0]),
        n_tokens(op->src[2]->ne[1]),
        columns_of_token(op->src[1]->ne[1]) {}

  int64_t n_pairs() const { return n_wanted * n_tokens; }
  int64_t n_blocks() const { return n_k / kInt8Block; }

  int64_t n_k;
  int64_t n_experts;
  int64_t n_wanted;  // by each token
  int64_t n_tokens;
  int64_t columns_of_token;  // 1: the same for all of its experts
};

// What lies in the work buffer:
//   the columns of all pairs, by expert
//   [per thread: where each expert's pairs begin, the pairs in that order, their places, sums]
class Work {
 public:
  Work(const Int8Kernel& kernel, const Sizes& sizes, const ggml_compute_params* params)
      : Work(kernel, sizes, static_cast<char*>(params->wdata)) {
    char* const own =
        static_cast<char*>(params->wdata) + n_shared_bytes_ + params->ith * n_own_bytes_;
    begins = {reinterpret_cast<int32_t*>(own), static_cast<size_t>(sizes.n_experts) + 1};
    pairs = {begins.data() + begins.size(), static_cast<size_t>(sizes.n_pairs())};
    places = {pairs.data() + pairs.size(), pairs.size()};
    products = reinterpret_cast<float*>(own + products_at_);
  }

  static size_t n_bytes(const Int8Kernel& kernel, const Sizes& sizes, int n_threads) {
    const Work work(kernel, sizes, static_cast<char*>(nullptr));
    return work.n_shared_bytes_ + n_threads * work.n_own_bytes_;
  }

  RoundedColumns columns;
  std::span<int32_t> begins;  // [expert], and the end of the last one
  std::span<int32_t> pairs;   // [place]: token * n_wanted + slot
  std::span<int32_t> places;  // [pair]
  float* products = nullptr;  // [column of an expert][16]

 private:
  Work(const Int8Kernel& kernel, const Sizes& sizes, char* buffer)
      : columns(kernel, sizes.n_k, sizes.n_pairs(), buffer),
        n_shared_bytes_(RoundedColumns::n_bytes(kernel, sizes.n_k, sizes.n_pairs())) {
    const auto in_lines = [](size_t n) { return (n + kCacheLine - 1) / kCacheLine * kCacheLine; };
    const auto n_pairs = static_cast<size_t>(sizes.n_pairs());
    products_at_ = in_lines((sizes.n_experts + 1 + 2 * n_pairs) * sizeof(int32_t));
    n_own_bytes_ = products_at_ + in_lines(sizes.n_tokens * kGemmRows * sizeof(float));
  }

  size_t n_shared_bytes_;
  size_t products_at_;
  size_t n_own_bytes_;
};

// Sorts the pairs by expert.
void group(const ggml_tensor* ids, const Sizes& sizes, const Work& work) {
  const auto expert_of = [&](int64_t token, int64_t slot) {
    int32_t expert = 0;
    const char* at = static_cast<const char*>(ids->data) + token * ids->nb[1] + slot * ids->nb[0];
    std::memcpy(&expert, at, sizeof(expert));
    return expert;
  };
  std::ranges::fill(work.begins, 0);
  for (int64_t token = 0; token < sizes.n_tokens; ++token) {
    for (int64_t slot = 0; slot < sizes.n_wanted; ++slot) ++work.begins[expert_of(token, slot)];
  }
  int32_t n_before = 0;
  for (int32_t& begin : work.begins) {
    const int32_t n = begin;
    begin = n_before;
    n_before += n;
  }
  for (int64_t token = 0, pair = 0; token < sizes.n_tokens; ++token) {
    for (int64_t slot = 0; slot < sizes.n_wanted; ++slot, ++pair) {
      const int32_t place = work.begins[expert_of(token, slot)]++;
      work.pairs[place] = static_cast<int32_t>(pair);
      work.places[pair] = place;
    }
  }
  // Now each expert's begin is its end.
  std::copy_backward(work.begins.begin(), work.begins.end() - 1, work.begins.end());
  work.begins[0] = 0;
}

// Rounds this thread's share of the columns, each once, and puts it where its experts look.
void quantize(const ggml_tensor* x, const Sizes& sizes, const ggml_compute_params* params,
              const Int8Kernel& kernel, const Work& work) {
  const int64_t n_blocks = sizes.n_blocks();
  const int64_t n_all = sizes.n_tokens * sizes.columns_of_token * n_blocks;
  const int64_t n_together = kernel.n_rounded_together / kInt8Block;
  const auto begin_of = [&](int64_t i) {
    return n_all / n_together * i / params->nth * n_together;
  };
  const int64_t end = begin_of(params->ith + 1);
  const int64_t n_copies = sizes.columns_of_token == 1 ? sizes.n_wanted : 1;
  for (int64_t i = begin_of(params->ith); i < end;) {
    const int64_t column = i / n_blocks;
    const int64_t b = i % n_blocks;
    const int64_t n = std::min(n_blocks - b, end - i);
    const int64_t token = column / sizes.columns_of_token;
    const int64_t of_token = column % sizes.columns_of_token;
    const auto* from = reinterpret_cast<const float*>(static_cast<const char*>(x->data) +
                                                      token * x->nb[2] + of_token * x->nb[1]) +
                       b * kInt8Block;
    const int32_t* places = work.places.data() + token * sizes.n_wanted + of_token;
    work.columns.round(from, places[0], b * kInt8Block, n * kInt8Block);
    for (int64_t copy = 1; copy < n_copies; ++copy) {
      work.columns.copy(places[0], places[copy], b * kInt8Block, n * kInt8Block);
    }
    i += n;
  }
}

}  // namespace

bool MulMatIdOp::can_compute(const ggml_tensor* op) const {
  const ggml_tensor* weights = op->src[0];
  const ggml_tensor* x = op->src[1];
  const ggml_tensor* ids = op->src[2];
  const PlacedWeights placed(kernels_, weights);
  // How many columns an expert gets is not known before.
  if (placed.kernel == nullptr || placed.kernel->n_min_columns > 1) return false;
  if (x->type != GGML_TYPE_F32 || op->type != GGML_TYPE_F32 || ids->type != GGML_TYPE_I32) {
    return false;
  }
  const bool is_one_list = weights->ne[3] == 1 && x->ne[3] == 1 && x->ne[2] == ids->ne[1] &&
                           (x->ne[1] == 1 || x->ne[1] == ids->ne[0]);
  return is_one_list && x->nb[0] == sizeof(float) && op->nb[0] == sizeof(float) &&
         weights->nb[0] == ggml_type_size(weights->type) && weights->ne[0] % kInt8Block == 0;
}

bool MulMatIdOp::work_size(int n_threads, const ggml_tensor* op, size_t& size) {
  const Int8Kernel& kernel = *PlacedWeights(kernels_, op->src[0]).kernel;
  const Sizes sizes(op);
  size = std::max(size, Work::n_bytes(kernel, sizes, n_threads));
  LeftColumns::plan(op, {.columns = op->src[1],
                         .ids = op->src[2],
                         .n_experts = sizes.n_experts,
                         .quantize = kernel.quantize});
  return true;
}

bool MulMatIdOp::compute_forward(ggml_compute_params* params, ggml_tensor* op) {
  const bool has_columns = LeftColumns::take(op, params->wdata);
  const PlacedWeights weights(kernels_, op->src[0]);
  const Sizes sizes(op);
  const Work work(*weights.kernel, sizes, params);
  if (!has_columns) {
    if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, 0);
    // Each thread for itself: that is less than waiting for another.
    group(op->src[2], sizes, work);
    quantize(op->src[1], sizes, params, *weights.kernel, work);
    ggml_barrier(params->threadpool);
  }

  // The panels of the experts that somebody wants, one after the other.
  const auto n_each = static_cast<int>(panels_of_a_matrix(op->src[0]));
  int32_t n_wanted = 0;
  for (int64_t e = 0; e < sizes.n_experts; ++e) n_wanted += work.begins[e] != work.begins[e + 1];
  int64_t expert = -1;
  int at = -1;  // which of the wanted ones it is
  const Multiplying multiplying(*weights.kernel, sizes.n_tokens);
  for_each_panel(params, n_wanted * n_each, true, [&](int panel) {
    while (at < panel / n_each) {
      ++expert;
      at += work.begins[expert] != work.begins[expert + 1];
    }
    const int32_t begin = work.begins[expert];
    const Int8Columns columns = work.columns.columns(begin, work.begins[expert + 1] - begin);
    const int64_t first_row = static_cast<int64_t>(panel % n_each) * kGemmRows;
    const char* rows[kGemmRows];
    weights.find(first_row, rows, expert);
    weights.kernel->multiply(rows, columns, work.products);
    const auto n_rows = std::min<int64_t>(kGemmRows, op->ne[0] - first_row);
    for (int c = 0; c < columns.n_columns; ++c) {
      const int32_t pair = work.pairs[begin + c];
      char* const out = static_cast<char*>(op->data) + pair / sizes.n_wanted * op->nb[2] +
                        pair % sizes.n_wanted * op->nb[1];
      std::copy_n(work.products + c * kGemmRows, n_rows, reinterpret_cast<float*>(out) + first_row);
    }
  });
  LeftColumns::leave(op, params->wdata);
  return true;
}

}  // namespace pyserve
