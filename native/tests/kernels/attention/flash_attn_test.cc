// Our attention, through the graph, against arithmetic in double precision.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/cell_order.h"
#include "kernels/attention/worker.h"
#include "rungs.h"

using namespace pyserve;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Shape {
  int n_k;
  int n_v;
  int n_head;
  int n_head_kv;
  int n_tokens;
  int n_cells;
};

// Cell places[i] has position i.
class Places final : public CellOrder {
 public:
  Places(const std::vector<int>& places, int n_cells) : positions_(n_cells, -1) {
    for (size_t i = 0; i < places.size(); ++i) positions_[places[i]] = static_cast<int>(i);
  }
  void sort(int32_t* cells, int n_cells) const override {
    sort_by_position(cells, n_cells, [this](int32_t cell) { return positions_[cell]; });
  }

 private:
  std::vector<int> positions_;
};

// Numbers as a tensor of the type keeps them.
std::vector<float> rounded_to(ggml_type type, const std::vector<float>& values, int n_row) {
  const auto n = static_cast<int64_t>(values.size());
  std::vector<char> kept(n / n_row * ggml_row_size(type, n_row));
  ggml_quantize_chunk(type, values.data(), kept.data(), 0, n / n_row, n_row, nullptr);
  if (type == GGML_TYPE_F32) return values;
  std::vector<float> out(values.size());
  ggml_get_type_traits(type)->to_float(kept.data(), out.data(), n);
  return out;
}

struct Case {
  Case(const Shape& s, unsigned seed) : shape(s), random(seed) {
    q = halves_of(static_cast<size_t>(s.n_k) * s.n_tokens * s.n_head, 1.0F);
    k = halves_of(static_cast<size_t>(s.n_k) * s.n_cells * s.n_head_kv, 1.0F);
    v = halves_of(static_cast<size_t>(s.n_v) * s.n_cells * s.n_head_kv, 1.0F);
    mask.assign(static_cast<size_t>(s.n_cells) * s.n_tokens, -kInf);
    for (int t = 0; t < s.n_tokens; ++t) {
      // Every token sees something else: a run, scattered cells, a single one.
      const int begin = static_cast<int>(random() % s.n_cells);
      const int n = 1 + static_cast<int>(random() % (s.n_cells - begin));
      for (int c = begin; c < begin + n; ++c) {
        if (t % 3 != 1 || random() % 2 == 0 || c == begin) mask[at(t, c)] = 0;
      }
    }
  }

  // Tokens of prompts and requests that share beginnings: each of `requests` = {its first cell of
  // its own, how many, new tokens} sees the first n_shared cells, its own, and of its new ones
  // those up to itself.
  struct Request {
    int first;
    int n_cells;
    int n_new;
  };
  void share(int n_shared, const std::vector<Request>& requests) {
    std::fill(mask.begin(), mask.end(), -kInf);
    int token = 0;
    for (const Request& request : requests) {
      for (int i = 0; i < request.n_new; ++i, ++token) {
        for (int c = 0; c < n_shared; ++c) mask[at(token, c)] = 0;
        const int n_own = request.n_cells - request.n_new + i + 1;
        for (int c = 0; c < n_own; ++c) mask[at(token, request.first + c)] = 0;
      }
    }
    REQUIRE(token == shape.n_tokens);
  }

  void keep_as(ggml_type type_k, ggml_type type_v) {
    k_type = type_k;
    v_type = type_v;
    k = rounded_to(k_type, k, shape.n_k);
    v = rounded_to(v_type, v, shape.n_v);
  }
  // ALiBi: a cell is the further away the lower it lies.
  void lean(float bias) {
    max_bias = bias;
    for (int t = 0; t < shape.n_tokens; ++t) {
      for (int c = 0; c < shape.n_cells; ++c) {
        if (mask[at(t, c)] == 0) mask[at(t, c)] = static_cast<float>(c - shape.n_cells);
      }
    }
  }
  double slope(int head) const {
    if (max_bias == 0) return 0;
    int n_power = 1;
    while (2 * n_power <= shape.n_head) n_power *= 2;
    const double exponent = head < n_power ? head + 1.0 : head - n_power + 0.5;
    return std::pow(2.0, -max_bias * exponent / n_power);
  }

  size_t at(int token, int cell) const { return static_cast<size_t>(token) * shape.n_cells + cell; }

  // Numbers that 16 bits hold exactly.
  std::vector<float> halves_of(size_t n, float scale) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> out(n);
    for (float& x : out) x = ggml_fp16_to_fp32(ggml_fp32_to_fp16(normal(random)));
    return out;
  }

  float scale() const { return 1.0F / std::sqrt(static_cast<float>(shape.n_k)); }

  // [token][head][n_v]
  std::vector<double> expected() const {
    const Shape& s = shape;
    std::vector<double> out;
    for (int t = 0; t < s.n_tokens; ++t) {
      for (int h = 0; h < s.n_head; ++h) {
        const int kv = h / (s.n_head / s.n_head_kv);
        std::vector<double> weights(s.n_cells);
        double sum = 0;
        for (int c = 0; c < s.n_cells; ++c) {
          if (mask[at(t, c)] == -kInf) continue;
          double score = 0;
          for (int d = 0; d < s.n_k; ++d) {
            score += static_cast<double>(q[(static_cast<size_t>(h) * s.n_tokens + t) * s.n_k + d]) *
                     k[(static_cast<size_t>(kv) * s.n_cells + c) * s.n_k + d];
          }
          score *= scale();
          if (soft_cap != 0) score = soft_cap * std::tanh(score / soft_cap);
          sum += weights[c] = std::exp(score + slope(h) * mask[at(t, c)]);
        }
        if (!sinks.empty()) sum += std::exp(static_cast<double>(sinks[h]));
        for (int d = 0; d < s.n_v; ++d) {
          double x = 0;
          for (int c = 0; c < s.n_cells; ++c) {
            x += weights[c] * v[(static_cast<size_t>(kv) * s.n_cells + c) * s.n_v + d];
          }
          out.push_back(sum == 0 ? 0 : x / sum);
        }
      }
    }
    return out;
  }

  // places[i], if given, is the cell of position i.
  std::vector<float> computed(int n_threads, const std::vector<int>* places = nullptr) const;

  // The same with cell i at places[i] of a cache with numbers of others in the rest.
  Case moved_to(const std::vector<int>& places, int n_cells) const {
    Shape wide = shape;
    wide.n_cells = n_cells;
    Case moved(wide, 77);
    moved.q = q;
    moved.k_type = k_type;
    moved.v_type = v_type;
    moved.sinks = sinks;
    moved.max_bias = max_bias;
    moved.soft_cap = soft_cap;
    std::fill(moved.mask.begin(), moved.mask.end(), -kInf);
    for (int c = 0; c < shape.n_cells; ++c) {
      for (int t = 0; t < shape.n_tokens; ++t) moved.mask[moved.at(t, places[c])] = mask[at(t, c)];
      for (int h = 0; h < shape.n_head_kv; ++h) {
        const size_t from = static_cast<size_t>(h) * shape.n_cells + c;
        const size_t to = static_cast<size_t>(h) * n_cells + places[c];
        std::copy_n(k.data() + from * shape.n_k, shape.n_k, moved.k.data() + to * shape.n_k);
        std::copy_n(v.data() + from * shape.n_v, shape.n_v, moved.v.data() + to * shape.n_v);
      }
    }
    return moved;
  }

  // The same with one token.
  Case only(int token) const {
    Case one = *this;
    one.shape.n_tokens = 1;
    one.q.clear();
    for (int h = 0; h < shape.n_head; ++h) {
      const auto from = q.begin() + static_cast<ptrdiff_t>(h * shape.n_tokens + token) * shape.n_k;
      one.q.insert(one.q.end(), from, from + shape.n_k);
    }
    one.mask.assign(mask.begin() + static_cast<ptrdiff_t>(at(token, 0)),
                    mask.begin() + static_cast<ptrdiff_t>(at(token + 1, 0)));
    return one;
  }

  Shape shape;
  std::mt19937 random;
  std::vector<float> q, k, v, mask;
  ggml_type k_type = GGML_TYPE_F16;
  ggml_type v_type = GGML_TYPE_F16;
  std::vector<float> sinks;  // of each head; empty: none
  float max_bias = 0;
  float soft_cap = 0;
};

// Layers of attention, one after the other, of the same shape and with one mask.
class Graph {
 public:
  Graph(std::span<const Case> layers, CellOrder* order)
      : context_(ggml_init({256U << 20, nullptr, false}), ggml_free) {
    ggml_context* ctx = context_.get();
    const Shape& s = layers[0].shape;
    mask_ = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, s.n_cells, s.n_tokens);
    graph_ = ggml_new_graph(ctx);
    for (const Case& layer : layers) {
      ggml_tensor* q = ggml_new_tensor_3d(ctx, GGML_TYPE_F32, s.n_k, s.n_tokens, s.n_head);
      std::copy(layer.q.begin(), layer.q.end(), static_cast<float*>(q->data));
      ggml_tensor* k = cached(layer.k_type, s.n_k, s.n_cells, s.n_head_kv, layer.k);
      ggml_tensor* v = cached(layer.v_type, s.n_v, s.n_cells, s.n_head_kv, layer.v);
      if (order != nullptr) order->apply_to(k);
      results_.push_back(
          ggml_flash_attn_ext(ctx, q, k, v, mask_, layer.scale(), layer.max_bias, layer.soft_cap));
      if (!layer.sinks.empty()) {
        ggml_tensor* sinks = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, s.n_head);
        std::copy(layer.sinks.begin(), layer.sinks.end(), static_cast<float*>(sinks->data));
        ggml_flash_attn_ext_add_sinks(results_.back(), sinks);
      }
      ggml_build_forward_expand(graph_, results_.back());
    }
  }

  void set_mask(const std::vector<float>& mask) const {
    ggml_fp32_to_fp16_row(mask.data(), static_cast<ggml_fp16_t*>(mask_->data),
                          static_cast<int64_t>(mask.size()));
  }
  void compute(int n_threads) { ggml_graph_compute_with_ctx(context_.get(), graph_, n_threads); }
  const ggml_tensor* node(size_t layer) const { return results_[layer]; }
  std::vector<float> result(size_t layer) const {
    const auto* data = static_cast<const float*>(results_[layer]->data);
    return {data, data + ggml_nelements(results_[layer])};
  }

 private:
  ggml_tensor* cached(ggml_type type, int n_dims, int n_cells, int n_head,
                      const std::vector<float>& values) {
    ggml_tensor* x = ggml_new_tensor_3d(context_.get(), type, n_dims, n_cells, n_head);
    ggml_quantize_chunk(type, values.data(), x->data, 0, static_cast<int64_t>(n_cells) * n_head,
                        n_dims, nullptr);
    return x;
  }

  std::unique_ptr<ggml_context, decltype(&ggml_free)> context_;
  ggml_tensor* mask_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  std::vector<ggml_tensor*> results_;
};

std::vector<float> Case::computed(int n_threads, const std::vector<int>* places) const {
  Places order(places == nullptr ? std::vector<int>() : *places, shape.n_cells);
  Graph graph({this, 1}, places == nullptr ? nullptr : &order);
  graph.set_mask(mask);
  graph.compute(n_threads);
  return graph.result(0);
}

double worst_error(const std::vector<float>& ours, const std::vector<double>& expected) {
  REQUIRE(ours.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < ours.size(); ++i) worst = std::max(worst, std::abs(ours[i] - expected[i]));
  return worst;
}

}  // namespace

TEST_CASE("attention through the graph is exact to 32 bits for every shape") {
  const std::vector<Shape> shapes{
      {64, 64, 9, 3, 1, 300},
      {64, 64, 9, 3, 16, 700},
      {64, 64, 4, 4, 5, 65},
      {256, 256, 4, 1, 3, 130},
      {128, 128, 8, 2, 2, 1000},
      {80, 96, 6, 3, 4, 77},
      {16, 16, 2, 1, 70, 40},
      {64, 64, 32, 1, 2, 90},
      {64, 64, 10, 2, 33, 257},
      // More query heads than are computed at once, as of DeepSeek and of others.
      {576, 512, 128, 1, 2, 90},
      {64, 48, 130, 2, 3, 300},
      {32, 32, 67, 1, 9, 200},
  };
  unsigned seed = 1;
  for (const Shape& shape : shapes) {
    const Case c(shape, seed++);
    const std::vector<double> expected = c.expected();
    for (const int n_threads : {1, 2, 5}) {
      INFO("heads ", shape.n_head, "/", shape.n_head_kv, " size ", shape.n_k, " tokens ",
           shape.n_tokens, " cells ", shape.n_cells, " threads ", n_threads);
      // The vendored kernel sums in 16 bits.
      CHECK(worst_error(c.computed(n_threads), expected) < (has_ours() ? 2e-5 : 1e-2));
    }
  }
}

TEST_CASE(
    "attention over caches of every type is exact, and the same bits in any place and batch") {
  const std::vector<ggml_type> types{GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0,
                                     GGML_TYPE_Q4_0};
  // Of all heads few and many at once: K is read as it lies and transposed.
  const std::vector<Shape> shapes{{64, 64, 9, 3, 6, 300}, {128, 96, 16, 1, 3, 200}};
  unsigned seed = 51;
  for (const ggml_type k_type : types) {
    for (const ggml_type v_type : types) {
      for (const Shape& shape : shapes) {
        INFO("K ", ggml_type_name(k_type), " V ", ggml_type_name(v_type), " size ", shape.n_k);
        Case c(shape, seed++);
        c.keep_as(k_type, v_type);
        const std::vector<float> out = c.computed(2);
        CHECK(worst_error(out, c.expected()) < (has_ours() ? 2e-5 : 3e-2));
        if (!has_ours()) continue;
        const size_t n_row = out.size() / shape.n_tokens;
        CHECK(c.only(1).computed(1) ==
              std::vector<float>(out.begin() + static_cast<ptrdiff_t>(n_row),
                                 out.begin() + static_cast<ptrdiff_t>(2 * n_row)));
        std::vector<int> places(shape.n_cells);
        std::iota(places.begin(), places.end(), shape.n_cells);
        CHECK(c.moved_to(places, 2 * shape.n_cells).computed(5, &places) == out);
      }
    }
  }
}

TEST_CASE("attention with sinks, soft-capping and ALiBi is exact, alone and among others") {
  const std::vector<Shape> shapes{
      {64, 64, 9, 3, 1, 300}, {64, 64, 8, 1, 33, 257}, {128, 128, 12, 4, 5, 900}};
  unsigned seed = 71;
  for (const Shape& shape : shapes) {
    for (const unsigned kind : {1U, 2U, 4U, 7U}) {
      Case c(shape, seed++);
      if ((kind & 1) != 0) c.sinks = c.halves_of(shape.n_head, 4.0F);
      if ((kind & 2) != 0) c.soft_cap = 1.5F;
      if ((kind & 4) != 0) c.lean(8);
      const std::vector<double> expected = c.expected();
      std::vector<float> alone;
      for (int token = 0; token < shape.n_tokens; ++token) {
        const std::vector<float> row = c.only(token).computed(1);
        alone.insert(alone.end(), row.begin(), row.end());
      }
      for (const int n_threads : {1, 2, 5}) {
        INFO("kind ", kind, " heads ", shape.n_head, " threads ", n_threads);
        const std::vector<float> out = c.computed(n_threads);
        CHECK(worst_error(out, expected) < (has_ours() ? 2e-5 : 1e-2));
        if (has_ours()) CHECK(out == alone);
      }
    }
  }
}

TEST_CASE("a token that sees no cell gets zeros, with sinks too") {
  Case c({64, 64, 6, 2, 3, 100}, 4);
  std::fill(c.mask.begin(), c.mask.end(), -kInf);
  for (const float x : c.computed(2)) CHECK(x == 0.0F);
  c.sinks.assign(6, 0.5F);
  for (const float x : c.computed(2)) CHECK(x == 0.0F);
}

TEST_CASE("attention is the same bits wherever the cells lie, on any number of threads") {
  if (!has_ours()) return;
  const std::vector<Shape> shapes{
      {64, 64, 9, 3, 1, 40},    {64, 64, 9, 3, 1, 220},     {64, 64, 9, 3, 3, 300},
      {128, 128, 8, 2, 2, 129}, {256, 256, 4, 1, 20, 2500}, {80, 96, 6, 3, 1, 2049},
      {96, 64, 128, 1, 3, 300},
  };
  unsigned seed = 1;
  for (const Shape& shape : shapes) {
    const Case packed(shape, seed++);
    std::mt19937 random(seed);
    const std::vector<float> expected = packed.computed(1);
    std::vector<int> places(3 * shape.n_cells);
    for (int step = 0; step < 3; ++step) {
      // In order with gaps, after one wrap, anywhere.
      std::iota(places.begin(), places.end(), 0);
      std::shuffle(places.begin(), places.end(), random);
      places.resize(shape.n_cells);
      if (step < 2) std::sort(places.begin(), places.end());
      if (step == 1) std::rotate(places.begin(), places.begin() + shape.n_cells / 3, places.end());
      const Case moved = packed.moved_to(places, 3 * shape.n_cells);
      for (const int n_threads : {1, 2, 5}) {
        INFO("cells ", shape.n_cells, " step ", step, " threads ", n_threads);
        CHECK(moved.computed(n_threads, &places) == expected);
      }
      places.resize(3 * shape.n_cells);
    }
  }
}

TEST_CASE("attention of all layers sees what the mask says, in the next graph what it says then") {
  const Shape shape{64, 64, 9, 3, 40, 600};
  std::vector<Case> layers;
  for (const unsigned seed : {5U, 6U, 7U}) layers.emplace_back(shape, seed);
  std::vector<int> places(shape.n_cells);
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), std::mt19937(8));
  for (const int n_threads : {1, 2, 5}) {
    Places order(places, shape.n_cells);
    Graph graph(layers, &order);
    for (const unsigned seed : {9U, 10U, 11U}) {
      // Scattered cells, then a prompt, then other ones.
      Case mask(shape, seed);
      if (seed == 10) mask.share(300, {{310, 30, 25}, {400, 100, 15}});
      graph.set_mask(mask.mask);
      graph.compute(n_threads);
      for (size_t i = 0; i < layers.size(); ++i) {
        layers[i].mask = mask.mask;
        INFO("layer ", i, " mask ", seed, " threads ", n_threads);
        CHECK(graph.result(i) == layers[i].computed(1, &places));
      }
    }
  }
}

TEST_CASE("a token's attention is the same bits alone and among others") {
  for (const Shape& shape : {Shape{64, 64, 9, 3, 12, 500}, {576, 512, 128, 1, 12, 200}}) {
    const Case many(shape, 9);
    if (shape.n_head > kMaxQueries && !has_ours()) continue;
    const std::vector<float> together = many.computed(2);
    const size_t n_row = together.size() / 12;
    for (const int token : {0, 5, 11}) {
      const auto begin = together.begin() + static_cast<ptrdiff_t>(token * n_row);
      CHECK(many.only(token).computed(2) == std::vector<float>(begin, begin + n_row));
    }
  }
}

TEST_CASE("tokens that share cells get what each gets alone, to the bit") {
  if (!has_ours()) return;
  struct Shared {
    Shape shape;
    int n_shared;
    std::vector<Case::Request> requests;
  };
  const std::vector<Shared> cases{
      // A piece of a prompt; it crosses a bound of the number of pieces (1,024 cells).
      {{64, 64, 9, 3, 100, 1100}, 0, {{0, 1080, 100}}},
      {{256, 256, 4, 1, 40, 300}, 0, {{0, 290, 40}}},
      // Requests with the same beginning, of which one is a prompt and one shares nothing more.
      {{64, 64, 9, 3, 29, 1000}, 400, {{400, 10, 1}, {420, 90, 1}, {600, 30, 25}, {700, 200, 2}}},
      {{64, 64, 32, 8, 12, 900}, 130, {{130, 70, 12}}},
      {{80, 96, 6, 3, 30, 500}, 65, {{65, 20, 20}, {100, 300, 10}}},
      // More elements of K than are transposed.
      {{320, 64, 16, 1, 8, 200}, 0, {{0, 200, 8}}},
  };
  unsigned seed = 31;
  for (const Shared& shared : cases) {
    Case c(shared.shape, seed++);
    c.share(shared.n_shared, shared.requests);
    const std::vector<double> exact = c.expected();
    std::vector<float> alone;
    for (int token = 0; token < shared.shape.n_tokens; ++token) {
      const std::vector<float> row = c.only(token).computed(1);
      alone.insert(alone.end(), row.begin(), row.end());
    }
    CHECK(worst_error(alone, exact) < 2e-5);
    for (const int n_threads : {1, 2, 5}) {
      INFO("heads ", shared.shape.n_head, " size ", shared.shape.n_k, " threads ", n_threads);
      CHECK(c.computed(n_threads) == alone);
    }
  }
}

TEST_CASE("cells are sorted by position whatever the positions are") {
  std::mt19937 random(3);
  for (int n = 1; n < 60; ++n) {
    std::vector<int> positions(2 * n);
    for (const int kind : {0, 1, 2}) {
      // Without gaps, with gaps, with equal ones.
      for (int& x : positions) x = static_cast<int>(random() % (kind == 1 ? 1000 : n));
      if (kind == 0) std::iota(positions.begin(), positions.end(), 7);
      if (kind == 0) std::shuffle(positions.begin(), positions.begin() + n, random);
      std::vector<int32_t> cells(n);
      std::iota(cells.begin(), cells.end(), 0);
      std::vector<int32_t> sorted = cells;
      const auto position = [&](int32_t cell) { return positions[cell]; };
      std::stable_sort(sorted.begin(), sorted.end(),
                       [&](int32_t a, int32_t b) { return positions[a] < positions[b]; });
      sort_by_position(cells.data(), n, position);
      CHECK(cells == sorted);
    }
  }
}

#if defined(PYSERVE_X86_KERNELS) || defined(PYSERVE_ARM_KERNELS)
namespace {

struct Heads {
  std::vector<float> max, sum, acc;
};

// Random heads over cells in any order; every kernel gets the same.
struct DirectCase {
  DirectCase(int n_queries, int n_dims, int n_cells, unsigned seed)
      : n_q(n_queries), n_k(n_dims), random(seed), q(static_cast<size_t>(n_queries) * n_dims) {
    std::normal_distribution<float> normal(0, 1);
    for (float& x : q) x = normal(random) / std::sqrt(static_cast<float>(n_dims));
    for (auto* halfs : {&k, &v}) {
      halfs->resize(static_cast<size_t>(n_cells) * n_dims);
      for (ggml_fp16_t& x : *halfs) x = ggml_fp32_to_fp16(normal(random));
    }
    cells.resize(n_cells);
    std::iota(cells.begin(), cells.end(), 0);
    std::shuffle(cells.begin(), cells.end(), random);
  }

  // n heads from `first` on, in calls of the cells [0, n_begin) and the rest.
  Heads attend(const AttentionKernels& kernels, int first, int n, int n_begin) const {
    Heads heads{std::vector<float>(n, -kInf), std::vector<float>(n),
                std::vector<float>(static_cast<size_t>(n) * n_k)};
    const size_t stride = n_k * sizeof(ggml_fp16_t);
    const HeadGroup group{
        .q = q.data() + static_cast<size_t>(first) * n_k,
        .k = reinterpret_cast<const char*>(k.data()),
        .v = reinterpret_cast<const char*>(v.data()),
        .k_stride = stride,
        .v_stride = stride,
        .n_q = n,
        .n_k = n_k,
        .n_v = n_k,
        .k_type = CellType::kF16,
        .v_type = CellType::kF16,
        .soft_cap = 0,
        .slopes = nullptr,
        .distances = nullptr,
    };
    const Partial partial{heads.max.data(), heads.sum.data(), heads.acc.data()};
    kernels.attend(group, cells.data(), n_begin, partial);
    kernels.attend(group, cells.data() + n_begin, static_cast<int>(cells.size()) - n_begin,
                   partial);
    return heads;
  }

  int n_q;
  int n_k;
  std::mt19937 random;
  std::vector<float> q;
  std::vector<ggml_fp16_t> k, v;
  std::vector<int32_t> cells;
};

}  // namespace

TEST_CASE("a head's attention is the same bits whatever heads are computed with it") {
  unsigned seed = 1;
  for (const int n_k : {16, 64, 80, 256, 272}) {
    for (const int n_cells : {64, 128, 203}) {
      const DirectCase c(kMaxQueries, n_k, n_cells, seed++);
      for (const AttentionKernels* kernels : kernels_here(attention_kernels)) {
        for (const int n : {1, 3, 11, 12, 13, 31, kMaxQueries}) {
          const Heads together = c.attend(*kernels, 0, n, kBlockCells);
          for (const int g : {0, n / 2, n - 1}) {
            INFO(kernels->name, " size ", n_k, " cells ", n_cells, " head ", g, " of ", n);
            const Heads alone = c.attend(*kernels, g, 1, 0);
            CHECK(alone.max[0] == together.max[g]);
            CHECK(alone.sum[0] == together.sum[g]);
            const auto acc = together.acc.begin() + static_cast<ptrdiff_t>(g) * n_k;
            CHECK(std::equal(alone.acc.begin(), alone.acc.end(), acc));
          }
        }
      }
    }
  }
}

namespace {

// The cells that a kernel was given, and how many it was told to fetch.
struct Call {
  const int32_t* cells;
  int n_cells;
  int n_next;
};
std::vector<Call> calls;

void record(const HeadGroup& group, const int32_t* cells, int n_cells, const Partial& /*partial*/) {
  calls.push_back({cells, n_cells, group.n_next});
}

}  // namespace

TEST_CASE("a kernel is told of the cells that follow, up to the last one that the token sees") {
  const Case c({64, 64, 9, 3, 1, 1300}, 7);
  const Graph graph({&c, 1}, nullptr);
  graph.set_mask(std::vector<float>(c.shape.n_cells, 0.0F));
  AttentionKernels kernels = *kernels_here(attention_kernels).front();
  kernels.attend = record;
  for (const int n_threads : {1, 2}) {  // with two the cells of a head are split
    const FlashAttnNode node(graph.node(0), n_threads);
    std::vector<char> memory(n_threads * node.thread_bytes() + node.shared_bytes());
    ggml_compute_params params{};
    params.nth = n_threads;
    params.wdata = memory.data();
    FlashAttnWorker worker(node, kernels, &params);
    calls.clear();
    for (int item = 0; item < node.n_items(); ++item) worker.run(item);
    int n_seen = 0;
    for (const Call& call : calls) {
      n_seen += call.n_cells;
      CHECK(call.n_next == c.shape.n_cells - n_seen);
      CHECK(call.cells[call.n_cells + call.n_next - 1] == c.shape.n_cells - 1);
      if (call.n_next == 0) n_seen = 0;
    }
    CHECK(calls.size() > 3);
    CHECK(n_seen == 0);
  }
}

TEST_CASE("both vector widths agree") {
  const auto kernels = kernels_here(attention_kernels);
  if (kernels.size() < 2) return;
  const DirectCase c(kMaxQueries, 64, 200, 5);
  const Heads narrow = c.attend(*kernels[0], 0, kMaxQueries, 0);
  const Heads wide = c.attend(*kernels[1], 0, kMaxQueries, 0);
  for (size_t i = 0; i < narrow.acc.size(); ++i) {
    const float sum = wide.sum[i / 64];
    CHECK(std::abs(narrow.acc[i] / narrow.sum[i / 64] - wide.acc[i] / sum) < 2e-5F);
  }
}
#endif
