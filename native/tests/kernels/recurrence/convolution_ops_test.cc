// Convolutions over tokens and what is around them, through the graph, against plain arithmetic.

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/recurrence/small_graph.h"
#include "rungs.h"

using namespace pyserve;

namespace {

struct Sizes {
  int n_taps;
  int n_channels;
  int n_tokens;
  int n_requests;
};
constexpr Sizes kSizes[] = {{4, 100, 1, 3}, {3, 64, 200, 1}, {4, 48, 70, 2}, {8, 17, 5, 2}};

}  // namespace

TEST_CASE("recurrent convolutions are exact, on any number of threads") {
  for (const Sizes& s : kSizes) {
    const int n_row = s.n_taps - 1 + s.n_tokens;
    const std::vector<float> x =
        normal_numbers(static_cast<size_t>(n_row) * s.n_channels * s.n_requests, 1);
    const std::vector<float> taps = normal_numbers(static_cast<size_t>(s.n_taps) * s.n_channels, 2);
    const auto result = [&](int n_threads) {
      const TestContext context = test_context();
      return computed(context.get(),
                      ggml_ssm_conv(context.get(),
                                    filled(context.get(), {n_row, s.n_channels, s.n_requests}, x),
                                    filled(context.get(), {s.n_taps, s.n_channels}, taps)),
                      n_threads);
    };
    const std::vector<float> once = result(1);
    double worst = 0;
    for (int r = 0; r < s.n_requests; ++r) {
      for (int c = 0; c < s.n_channels; ++c) {
        for (int t = 0; t < s.n_tokens; ++t) {
          double y = 0;
          for (int i = 0; i < s.n_taps; ++i) {
            y += static_cast<double>(
                     x[(static_cast<size_t>(r) * s.n_channels + c) * n_row + t + i]) *
                 taps[static_cast<size_t>(c) * s.n_taps + i];
          }
          const size_t at = (static_cast<size_t>(r) * s.n_tokens + t) * s.n_channels + c;
          worst = std::max(worst, std::abs(once[at] - y) / (1 + std::abs(y)));
        }
      }
    }
    CHECK(worst < 2e-6);
    for (const int n_threads : {2, 3}) CHECK(result(n_threads) == once);
    if (!has_ours()) continue;
    // The first token by itself has the same bits.
    std::vector<float> first;
    for (size_t row = 0; row < x.size(); row += n_row) {
      first.insert(first.end(), x.begin() + static_cast<ptrdiff_t>(row),
                   x.begin() + static_cast<ptrdiff_t>(row) + s.n_taps);
    }
    const TestContext context = test_context();
    const std::vector<float> alone =
        computed(context.get(),
                 ggml_ssm_conv(context.get(),
                               filled(context.get(), {s.n_taps, s.n_channels, s.n_requests}, first),
                               filled(context.get(), {s.n_taps, s.n_channels}, taps)),
                 1);
    for (int r = 0; r < s.n_requests; ++r) {
      const auto own = alone.begin() + static_cast<ptrdiff_t>(r) * s.n_channels;
      CHECK(std::equal(own, own + s.n_channels,
                       once.begin() + static_cast<ptrdiff_t>(r) * s.n_channels * s.n_tokens));
    }
  }
}

TEST_CASE("recurrent layers append the columns of new tokens to those they kept") {
  for (const Sizes& s : kSizes) {
    const int n_kept = s.n_taps - 1;
    const std::vector<float> kept =
        normal_numbers(static_cast<size_t>(n_kept) * s.n_channels * s.n_requests, 1);
    // Columns are part of longer ones, as of a projection that has more in it.
    const int n_column = s.n_channels + 7;
    const std::vector<float> more =
        normal_numbers(static_cast<size_t>(n_column) * s.n_tokens * s.n_requests, 2);
    for (const int n_threads : {1, 2, 3}) {
      const TestContext context = test_context();
      ggml_context* ctx = context.get();
      ggml_tensor* columns = filled(ctx, {n_column, s.n_tokens, s.n_requests}, more);
      ggml_tensor* own = ggml_view_3d(ctx, columns, s.n_channels, s.n_tokens, s.n_requests,
                                      columns->nb[1], columns->nb[2], 5 * sizeof(float));
      const std::vector<float> all =
          computed(ctx,
                   ggml_concat(ctx, filled(ctx, {n_kept, s.n_channels, s.n_requests}, kept),
                               ggml_transpose(ctx, own), 0),
                   n_threads);
      size_t n_wrong = 0;
      size_t at = 0;
      for (int r = 0; r < s.n_requests; ++r) {
        for (int c = 0; c < s.n_channels; ++c) {
          for (int t = 0; t < n_kept; ++t) {
            n_wrong += all[at++] != kept[(static_cast<size_t>(r) * s.n_channels + c) * n_kept + t];
          }
          for (int t = 0; t < s.n_tokens; ++t) {
            n_wrong +=
                all[at++] != more[(static_cast<size_t>(r) * s.n_tokens + t) * n_column + 5 + c];
          }
        }
      }
      CHECK(n_wrong == 0);
    }
  }
}

TEST_CASE("recurrent layers scale each row by a number of its own") {
  constexpr int kRow = 24, kRows = 3, kTokens = 5, kRequests = 2;
  const std::vector<float> x = normal_numbers(size_t{kRow} * kRows * kTokens * kRequests, 1);
  const std::vector<float> factors = normal_numbers(kRows, 2);
  for (const int n_threads : {1, 2, 4}) {
    const TestContext context = test_context();
    ggml_context* ctx = context.get();
    const std::vector<float> y =
        computed(ctx,
                 ggml_mul(ctx, filled(ctx, {kRow, kRows, kTokens, kRequests}, x),
                          filled(ctx, {1, kRows}, factors)),
                 n_threads);
    size_t n_wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) n_wrong += y[i] != x[i] * factors[i / kRow % kRows];
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("recurrent layers' columns of several requests have the matrix product's bits") {
  constexpr int kIn = 256, kOut = 96, kRequests = 5;
  const std::vector<float> x = normal_numbers(size_t{kIn} * kRequests, 1);
  const std::vector<float> weights = normal_numbers(size_t{kIn} * kOut, 2);
  const auto product = [&](bool is_flat) {
    const TestContext context = test_context();
    ggml_context* ctx = context.get();
    ggml_tensor* matrix = ggml_new_tensor_2d(ctx, GGML_TYPE_Q4_K, kIn, kOut);
    ggml_quantize_chunk(GGML_TYPE_Q4_K, weights.data(), matrix->data, 0, kOut, kIn, nullptr);
    ggml_tensor* columns =
        is_flat ? filled(ctx, {kIn, kRequests}, x) : filled(ctx, {kIn, 1, kRequests}, x);
    return computed(ctx, ggml_mul_mat(ctx, matrix, columns), 2);
  };
  CHECK(product(false) == product(true));
}
