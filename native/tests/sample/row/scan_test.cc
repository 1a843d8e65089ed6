#include "sample/row/scan.h"

#include <doctest/doctest.h>

#include <algorithm>
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
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
using Row = std::vector<float>;

bool can_use(const Row& row) {
  RowScratch scratch;
  return scan_maxima(row_kernels(), row, scratch);
}

RowLogprobs logprobs(const Row& row, Token sampled, int k,
                     const RowKernels& kernels = row_kernels()) {
  RowScratch scratch;
  REQUIRE(scan_maxima(kernels, row, scratch));
  return row_logprobs(kernels, row, sampled, k, scratch);
}

Row random_row(size_t n, std::mt19937& random) {
  std::normal_distribution<float> normal(0, 3);
  Row row(n);
  for (float& logit : row) logit = normal(random);
  return row;
}

}  // namespace

TEST_CASE("rows that cannot be sampled are refused") {
  CHECK(can_use(Row{-5}));
  CHECK(can_use(Row{-kInf, -7, -kInf}));
  CHECK_FALSE(can_use(Row{}));
  CHECK_FALSE(can_use(Row{-kInf, -kInf}));
  CHECK_FALSE(can_use(Row{1, kNan, 2}));
  CHECK_FALSE(can_use(Row{1, kInf}));
}

TEST_CASE("logprobs are the logarithm of the softmax") {
  const RowLogprobs out = logprobs(Row{std::log(1.0F), std::log(2.0F), std::log(5.0F)}, 1, 2);
  CHECK(out.sampled == doctest::Approx(std::log(0.25)));
  REQUIRE(out.top.size() == 2);
  CHECK(out.top[0].token == 2);
  CHECK(out.top[0].logprob == doctest::Approx(std::log(0.625)));
  CHECK(out.top[1].token == 1);
}

TEST_CASE("every implementation computes logprobs within 1e-5 of double precision") {
  std::mt19937 random(16);
  for (const size_t n : {300, 3000, 30000}) {
    const Row row = random_row(n, random);
    double sum = 0;
    for (const float logit : row) sum += std::exp(static_cast<double>(logit));
    for (const RowKernels* kernels : row_kernels_here()) {
      INFO(kernels->name);
      const RowLogprobs out = logprobs(row, 7, 20, *kernels);
      CHECK(std::abs(out.sampled - (row[7] - std::log(sum))) < 1e-5);
      for (const RankedToken& top : out.top) {
        CHECK(std::abs(top.logprob - (row[static_cast<size_t>(top.token)] - std::log(sum))) < 1e-5);
      }
    }
  }
}

TEST_CASE("a token that cannot happen has a finite logprob and is not among the best") {
  const RowLogprobs out = logprobs(Row{0, -kInf}, 1, 2);
  CHECK(out.sampled == -9999.0F);
  CHECK(out.top.size() == 1);
}

TEST_CASE("the top list is sorted, complete and no longer than the vocabulary") {
  std::mt19937 random(2);
  std::uniform_int_distribution<int> level(0, 5);  // many ties
  Row row(300);
  for (float& logit : row) logit = static_cast<float>(level(random));
  for (const int k : {-1, 0, 1, 20, 300, 400}) {
    const RowLogprobs out = logprobs(row, 0, k);
    REQUIRE(out.top.size() == std::min<size_t>(std::max(k, 0), row.size()));
    for (size_t i = 1; i < out.top.size(); ++i) {
      const auto& a = out.top[i - 1];
      const auto& b = out.top[i];
      CHECK((a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token)));
    }
  }
}

TEST_CASE("the k best in any order are the k best") {
  std::mt19937 random(17);
  const Row row = random_row(40000, random);
  RowScratch scratch;
  REQUIRE(scan_maxima(row_kernels(), row, scratch));
  for (const size_t k : {size_t{0}, size_t{1}, size_t{100}, size_t{20000}, size_t{90000}}) {
    collect_best(row_kernels(), row, k, scratch);
    std::vector<Token> expected;
    for (const RankedToken& token : scratch.ranked) expected.push_back(token.token);
    keep_best(row_kernels(), row, k, scratch);
    std::vector<Token> kept;
    for (const RankedToken& token : scratch.ranked) kept.push_back(token.token);
    std::sort(expected.begin(), expected.end());
    std::sort(kept.begin(), kept.end());
    CHECK(kept.size() == std::min(k, row.size()));
    CHECK(kept == expected);
  }
}
