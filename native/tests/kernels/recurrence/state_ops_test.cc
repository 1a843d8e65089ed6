// Recurrent layers, through the graph, against arithmetic in double precision.

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/recurrence/small_graph.h"
#include "rungs.h"

using namespace pyserve;

namespace {

// What a node makes: outputs of the tokens [requests][tokens][heads][rows], then states
// [slots][requests][heads][rows][n].
struct Results {
  std::vector<float> y;
  std::vector<float> states;
};

// Sizes of a node. n: numbers of a row.
struct Sizes {
  int n;
  int n_rows;
  int n_heads;
  int n_tokens;
  int n_requests;

  size_t per_token() const { return static_cast<size_t>(n_heads) * n_rows; }
  size_t per_state() const { return per_token() * n; }
  std::string text() const {
    std::string out;
    for (const int size : {n, n_rows, n_heads, n_tokens, n_requests}) {
      out += std::to_string(size) + " ";
    }
    return out;
  }
};

// A kind of recurrent layer with random numbers for all its tokens.
class Layer {
 public:
  explicit Layer(const Sizes& sizes) : s(sizes) {}
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  // Tokens [begin, end) of all requests, from given states.
  virtual Results run(int begin, int end, const std::vector<float>& states, int n_threads,
                      int n_slots) const = 0;
  // One row of a head through a token, which changes it; returns the output.
  virtual double step(int request, int token, int head, int row, double* state) const = 0;

  std::vector<float> first_states() const {
    return normal_numbers(s.per_state() * s.n_requests, 99, 0.3F);
  }
  Results all(int n_threads, int n_slots = 1) const {
    return run(0, s.n_tokens, first_states(), n_threads, n_slots);
  }

  const Sizes s;

 protected:
  // Of [requests][tokens][per_token], the tokens in question.
  std::vector<float> part(const std::vector<float>& x, size_t per_token, int begin, int end) const {
    std::vector<float> out;
    for (int r = 0; r < s.n_requests; ++r) {
      const auto from = x.begin() + static_cast<ptrdiff_t>(r * s.n_tokens * per_token);
      out.insert(out.end(), from + static_cast<ptrdiff_t>(begin * per_token),
                 from + static_cast<ptrdiff_t>(end * per_token));
    }
    return out;
  }
  std::vector<float> inputs(size_t per_token, unsigned seed, float scale = 1) const {
    return normal_numbers(per_token * s.n_tokens * s.n_requests, seed, scale);
  }
  size_t at(int request, int token, size_t per_token) const {
    return (static_cast<size_t>(request) * s.n_tokens + token) * per_token;
  }
  Results split(const std::vector<float>& all, int n_tokens) const {
    const auto n_y = static_cast<ptrdiff_t>(s.per_token() * n_tokens * s.n_requests);
    return {{all.begin(), all.begin() + n_y}, {all.begin() + n_y, all.end()}};
  }
};

// Two groups of heads; the states lie in other slots than the requests' numbers say.
class Mamba2 final : public Layer {
 public:
  static constexpr int kGroups = 2;
  explicit Mamba2(const Sizes& sizes)
      : Layer(sizes),
        x(inputs(s.per_token(), 1)),
        dt(inputs(s.n_heads, 2, 3)),
        b(inputs(static_cast<size_t>(kGroups) * s.n, 3)),
        c(inputs(static_cast<size_t>(kGroups) * s.n, 4)),
        a(normal_numbers(s.n_heads, 5)) {
    for (float& each : a) each = -std::abs(each);
    dt[0] = 30;  // where the logarithm is left out
  }

  Results run(int begin, int end, const std::vector<float>& states, int n_threads,
              int n_slots) const override {
    const TestContext context = test_context();
    ggml_context* ctx = context.get();
    const int n = end - begin;
    std::vector<float> placed = states;
    ggml_tensor* ids = ggml_new_tensor_1d(ctx, GGML_TYPE_I32, s.n_requests);
    for (int r = 0; r < s.n_requests; ++r) {
      const int slot = s.n_requests - 1 - r;
      static_cast<int32_t*>(ids->data)[r] = slot;
      std::copy_n(states.begin() + static_cast<ptrdiff_t>(r * s.per_state()), s.per_state(),
                  placed.begin() + static_cast<ptrdiff_t>(slot * s.per_state()));
    }
    const auto group_part = [&](const std::vector<float>& from) {
      return filled(ctx, {s.n, kGroups, n, s.n_requests},
                    part(from, static_cast<size_t>(kGroups) * s.n, begin, end));
    };
    ggml_tensor* node = ggml_ssm_scan(
        ctx, filled(ctx, {s.n, s.n_rows, s.n_heads, s.n_requests}, placed),
        filled(ctx, {s.n_rows, s.n_heads, n, s.n_requests}, part(x, s.per_token(), begin, end)),
        filled(ctx, {s.n_heads, n, s.n_requests}, part(dt, s.n_heads, begin, end)),
        filled(ctx, {1, s.n_heads}, a), group_part(b), group_part(c), ids, n_slots);
    return split(computed(ctx, node, n_threads), n);
  }

  double step(int request, int token, int head, int row, double* state) const override {
    const double dt_here = dt[at(request, token, s.n_heads) + head];
    const double size = std::log1p(std::exp(dt_here));
    const double decay = std::exp(size * a[head]);
    const double in = x[at(request, token, s.per_token()) + head * s.n_rows + row] * size;
    const size_t from =
        at(request, token, static_cast<size_t>(kGroups) * s.n) + head / (s.n_heads / kGroups) * s.n;
    double y = 0;
    for (int i = 0; i < s.n; ++i) {
      state[i] = state[i] * decay + in * b[from + i];
      y += state[i] * c[from + i];
    }
    return y;
  }

 private:
  std::vector<float> x, dt, b, c, a;
};

// Half as many heads of keys. kda: each number of a row has its own decay.
class DeltaNet final : public Layer {
 public:
  DeltaNet(const Sizes& sizes, bool is_kda)
      : Layer(sizes),
        n_decay(is_kda ? s.n : 1),
        q(inputs(keys(), 1, 0.1F)),
        k(inputs(keys(), 2, 0.1F)),
        v(inputs(s.per_token(), 3)),
        g(inputs(static_cast<size_t>(n_decay) * s.n_heads, 4)),
        beta(inputs(s.n_heads, 5)) {
    for (float& each : g) each = -std::abs(each);
    for (float& each : beta) each = 1 / (1 + std::exp(-each));
  }

  Results run(int begin, int end, const std::vector<float>& states, int n_threads,
              int n_slots) const override {
    const TestContext context = test_context();
    ggml_context* ctx = context.get();
    const int n = end - begin;
    const auto key_part = [&](const std::vector<float>& from) {
      return filled(ctx, {s.n, s.n_heads / 2, n, s.n_requests}, part(from, keys(), begin, end));
    };
    const auto head_part = [&](const std::vector<float>& from, int n_each) {
      return filled(ctx, {n_each, s.n_heads, n, s.n_requests},
                    part(from, static_cast<size_t>(n_each) * s.n_heads, begin, end));
    };
    ggml_tensor* node = ggml_gated_delta_net(
        ctx, key_part(q), key_part(k), head_part(v, s.n), head_part(g, n_decay), head_part(beta, 1),
        filled(ctx, {s.n, s.n, s.n_heads, s.n_requests}, states), n_slots);
    return split(computed(ctx, node, n_threads), n);
  }

  double step(int request, int token, int head, int row, double* state) const override {
    const size_t key = at(request, token, keys()) + head % (s.n_heads / 2) * s.n;
    const size_t from = at(request, token, s.n_heads) + head;
    double known = 0;
    for (int i = 0; i < s.n; ++i) {
      state[i] *= std::exp(static_cast<double>(g[from * n_decay + (n_decay > 1 ? i : 0)]));
      known += state[i] * k[key + i];
    }
    const double change = (v[from * s.n + row] - known) * beta[from];
    double y = 0;
    for (int i = 0; i < s.n; ++i) {
      state[i] += change * k[key + i];
      y += state[i] * q[key + i];
    }
    return y / std::sqrt(s.n);
  }

 private:
  size_t keys() const { return static_cast<size_t>(s.n_heads / 2) * s.n; }

  int n_decay;
  std::vector<float> q, k, v, g, beta;
};

class Rwkv7 final : public Layer {
 public:
  explicit Rwkv7(const Sizes& sizes) : Layer(sizes) {
    for (unsigned i = 0; i < 6; ++i) x[i] = inputs(s.per_token(), i + 1, 0.3F);
    for (float& each : x[kW]) each = std::exp(-std::abs(each));
  }

  Results run(int begin, int end, const std::vector<float>& states, int n_threads,
              int /*n_slots*/) const override {
    const TestContext context = test_context();
    ggml_context* ctx = context.get();
    const int n = end - begin;
    ggml_tensor* sources[6];
    for (int i = 0; i < 6; ++i) {
      sources[i] = filled(ctx, {s.n, s.n_heads, static_cast<int64_t>(n) * s.n_requests},
                          part(x[i], s.per_token(), begin, end));
    }
    ggml_tensor* node = ggml_rwkv_wkv7(
        ctx, sources[kR], sources[kW], sources[kK], sources[kV], sources[kA], sources[kB],
        filled(ctx, {static_cast<int64_t>(s.per_state()), s.n_requests}, states));
    return split(computed(ctx, node, n_threads), n);
  }

  double step(int request, int token, int head, int row, double* state) const override {
    const size_t from = at(request, token, s.per_token()) + static_cast<size_t>(head) * s.n;
    double removed = 0;
    for (int i = 0; i < s.n; ++i) removed += state[i] * x[kA][from + i];
    double y = 0;
    for (int i = 0; i < s.n; ++i) {
      state[i] = state[i] * x[kW][from + i] +
                 static_cast<double>(x[kV][from + row]) * x[kK][from + i] +
                 removed * x[kB][from + i];
      y += state[i] * x[kR][from + i];
    }
    return y;
  }

 private:
  enum Source { kR, kW, kK, kV, kA, kB };
  std::vector<float> x[6];
};

// f(layer) for all kinds and some sizes, whole runs of rows and others.
template <typename F>
void for_each_layer(F f) {
  for (const Sizes& sizes : {Sizes{128, 6, 4, 9, 3}, {16, 5, 2, 1, 1}, {256, 3, 2, 40, 1}}) {
    INFO("Mamba-2 of ", sizes.text());
    f(Mamba2(sizes));
  }
  for (const Sizes& sizes : {Sizes{128, 128, 2, 5, 2}, {64, 64, 4, 1, 3}, {32, 32, 2, 70, 1}}) {
    for (const bool is_kda : {false, true}) {
      INFO("gated delta net of ", sizes.text(), is_kda);
      f(DeltaNet(sizes, is_kda));
    }
  }
  for (const Sizes& sizes : {Sizes{64, 64, 2, 7, 3}, {64, 64, 3, 1, 1}}) {
    INFO("RWKV 7 of ", sizes.text());
    f(Rwkv7(sizes));
  }
}

double worst_error(const Layer& layer, const Results& results) {
  const Sizes& s = layer.s;
  const std::vector<float> first = layer.first_states();
  double worst = 0;
  for (int request = 0; request < s.n_requests; ++request) {
    for (int head = 0; head < s.n_heads; ++head) {
      for (int row = 0; row < s.n_rows; ++row) {
        const size_t place =
            ((static_cast<size_t>(request) * s.n_heads + head) * s.n_rows + row) * s.n;
        std::vector<double> state(first.begin() + static_cast<ptrdiff_t>(place),
                                  first.begin() + static_cast<ptrdiff_t>(place) + s.n);
        for (int token = 0; token < s.n_tokens; ++token) {
          const double y = layer.step(request, token, head, row, state.data());
          const size_t at = (static_cast<size_t>(request) * s.n_tokens + token) * s.per_token();
          worst = std::max(worst, std::abs(results.y[at + head * s.n_rows + row] - y) /
                                      (std::sqrt(s.n) + std::abs(y)));
        }
        for (int i = 0; i < s.n; ++i) {
          worst = std::max(
              worst, std::abs(results.states[place + i] - state[i]) / (1 + std::abs(state[i])));
        }
      }
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("recurrent layers are exact to 32 bits, on any number of threads") {
  for_each_layer([](const Layer& layer) {
    const Results once = layer.all(1);
    CHECK(worst_error(layer, once) < 5e-6);
    if (!has_ours()) return;
    for (const int n_threads : {2, 3, 7}) {
      const Results again = layer.all(n_threads);
      CHECK(again.y == once.y);
      CHECK(again.states == once.states);
    }
  });
}

TEST_CASE("recurrent layers have the same bits however tokens are cut into batches") {
  if (!has_ours()) return;
  for_each_layer([](const Layer& layer) {
    const Sizes& s = layer.s;
    const Results whole = layer.all(2);
    for (const int n_step : {1, 3}) {
      std::vector<float> states = layer.first_states();
      for (int begin = 0; begin < s.n_tokens; begin += n_step) {
        const int end = std::min(s.n_tokens, begin + n_step);
        const Results piece = layer.run(begin, end, states, 2, 1);
        states = piece.states;
        for (int r = 0; r < s.n_requests; ++r) {
          const size_t n = (end - begin) * s.per_token();
          const auto expected =
              whole.y.begin() + static_cast<ptrdiff_t>((r * s.n_tokens + begin) * s.per_token());
          CHECK(std::equal(expected, expected + static_cast<ptrdiff_t>(n),
                           piece.y.begin() + static_cast<ptrdiff_t>(r * n)));
        }
      }
      CHECK(states == whole.states);
    }
  });
}

TEST_CASE("recurrent layers keep the states of the last tokens where they are wanted") {
  static constexpr int kSlots = 3;
  const auto check = [](const Layer& layer) {
    const Sizes& s = layer.s;
    const Results results = layer.all(2, kSlots);
    const size_t n_slot = s.per_state() * s.n_requests;
    for (int slot = 0; slot < std::min(kSlots, s.n_tokens); ++slot) {
      const Results shorter = layer.run(0, s.n_tokens - slot, layer.first_states(), 1, 1);
      const auto from = results.states.begin() + static_cast<ptrdiff_t>(slot * n_slot);
      CHECK(std::equal(from, from + static_cast<ptrdiff_t>(n_slot), shorter.states.begin()));
    }
  };
  if (!has_ours()) return;
  check(Mamba2({64, 8, 2, 6, 2}));
  check(Mamba2({64, 8, 2, 70, 1}));
  check(DeltaNet({64, 64, 2, 6, 2}, false));
  check(DeltaNet({64, 64, 2, 2, 1}, true));
}
