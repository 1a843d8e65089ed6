#include "sample/row/kernels.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "rungs.h"

using namespace pyserve;

namespace {

std::vector<const RowKernels*> row_kernels_here() {
  return kernels_here([](Rung rung) { return &row_kernels(rung); });
}

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_row(size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 6);
  std::vector<float> row(n);
  for (float& logit : row) logit = random() % 50 == 0 ? -kInf : normal(random);
  return row;
}

const std::vector<size_t> kSizes{1, 7, 8, 15, 16, 17, 255, 256, 257, 512, 1000, 5003};

}  // namespace

TEST_CASE("every implementation finds the same block maxima") {
  const auto kernels = row_kernels_here();
  for (const size_t n : kSizes) {
    const std::vector<float> row = random_row(n, static_cast<unsigned>(n));
    std::vector<float> expected(n_blocks(n));
    REQUIRE(kernels[0]->block_max(row.data(), n, expected.data()));
    for (const RowKernels* kernel : kernels) {
      INFO(kernel->name, " ", n);
      std::vector<float> max(n_blocks(n));
      CHECK(kernel->block_max(row.data(), n, max.data()));
      CHECK(max == expected);
    }
  }
}

TEST_CASE("every implementation notices a NaN wherever it is") {
  for (const RowKernels* kernel : row_kernels_here()) {
    for (const size_t n : kSizes) {
      for (const size_t at : {size_t{0}, n / 2, n - 1}) {
        std::vector<float> row = random_row(n, 3);
        row[at] = std::nanf("");
        std::vector<float> max(n_blocks(n));
        INFO(kernel->name, " ", n, " ", at);
        CHECK_FALSE(kernel->block_max(row.data(), n, max.data()));
      }
    }
  }
}

TEST_CASE("every implementation computes exp within 1e-6") {
  for (const RowKernels* kernel : row_kernels_here()) {
    std::vector<float> row;
    for (float x = -95; x <= 0; x += 0.0137F) row.push_back(x);
    row.push_back(-kInf);
    std::vector<float> out(row.size());
    kernel->exp_values(row.data(), row.size(), 1.0F, 0.0F, out.data());
    for (size_t i = 0; i < row.size(); ++i) {
      const double exact = std::exp(static_cast<double>(row[i]));
      INFO(kernel->name, " ", row[i]);
      CHECK(std::abs(out[i] - exact) <= 1e-6 * exact + 1e-37);
    }
  }
}

TEST_CASE("every implementation sums exp over blocks") {
  const auto kernels = row_kernels_here();
  for (const size_t n : kSizes) {
    const std::vector<float> row = random_row(n, static_cast<unsigned>(n) + 1);
    std::vector<float> max(n_blocks(n));
    kernels[0]->block_max(row.data(), n, max.data());
    for (const float scale : {1.0F, 0.3F, 4.0F}) {
      std::vector<float> expected(n_blocks(n));
      kernels[0]->block_exp_sum(row.data(), n, scale, max.data(), expected.data());
      for (const RowKernels* kernel : kernels) {
        std::vector<float> sum(n_blocks(n));
        kernel->block_exp_sum(row.data(), n, scale, max.data(), sum.data());
        for (size_t b = 0; b < sum.size(); ++b) CHECK(sum[b] == doctest::Approx(expected[b]));
      }
    }
  }
}

TEST_CASE("a block of -infinity sums to nothing") {
  for (const RowKernels* kernel : row_kernels_here()) {
    const std::vector<float> row(300, -kInf);
    std::vector<float> max(2);
    std::vector<float> sum(2);
    CHECK(kernel->block_max(row.data(), row.size(), max.data()));
    kernel->block_exp_sum(row.data(), row.size(), 1.0F, max.data(), sum.data());
    CHECK(sum == std::vector<float>{0, 0});
  }
}

TEST_CASE("every implementation collects the same tokens in order") {
  const auto kernels = row_kernels_here();
  for (const size_t n : kSizes) {
    const std::vector<float> row = random_row(n, static_cast<unsigned>(n) + 2);
    for (const float threshold : {-kInf, 0.0F, row[n / 2], 100.0F}) {
      std::vector<int32_t> expected_ids(n);
      std::vector<float> expected(n);
      const size_t n_expected =
          kernels[0]->collect(row.data(), n, threshold, 1000, expected_ids.data(), expected.data());
      for (const RowKernels* kernel : kernels) {
        std::vector<int32_t> ids(n);
        std::vector<float> values(n);
        INFO(kernel->name, " ", n, " ", threshold);
        CHECK(kernel->collect(row.data(), n, threshold, 1000, ids.data(), values.data()) ==
              n_expected);
        CHECK(ids == expected_ids);
        CHECK(values == expected);
      }
    }
  }
}
