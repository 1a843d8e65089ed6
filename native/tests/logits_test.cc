#include "sample/logits.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace pyserve;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
using Row = std::vector<float>;

}  // namespace

TEST_CASE("argmax takes the lowest index of equals") {
  CHECK(argmax(Row{1, 3, 3, 2}) == 1);
  CHECK(argmax(Row{-5}) == 0);
  CHECK(argmax(Row{-kInf, -7, -kInf}) == 1);
}

TEST_CASE("argmax refuses rows that cannot be sampled") {
  CHECK(argmax(Row{}) == -1);
  CHECK(argmax(Row{-kInf, -kInf}) == -1);
  CHECK(argmax(Row{1, kNan, 2}) == -1);
  CHECK(argmax(Row{1, kInf}) == -1);
}

TEST_CASE("logprobs are the logarithm of the softmax") {
  const Row row{std::log(1.0F), std::log(2.0F), std::log(5.0F)};
  const RowLogprobs out = row_logprobs(row, 1, 2);
  CHECK(out.sampled == doctest::Approx(std::log(0.25)));
  REQUIRE(out.top.size() == 2);
  CHECK(out.top[0].token == 2);
  CHECK(out.top[0].logprob == doctest::Approx(std::log(0.625)));
  CHECK(out.top[1].token == 1);
}

TEST_CASE("a token that cannot happen has a finite logprob") {
  const RowLogprobs out = row_logprobs(Row{0, -kInf}, 1, 2);
  CHECK(out.sampled == -9999.0F);
  CHECK(out.top[1].logprob == -9999.0F);
}

TEST_CASE("the top list is sorted, complete and no longer than the vocabulary") {
  std::mt19937 random(2);
  std::uniform_int_distribution<int> level(0, 5);  // many ties
  Row row(300);
  for (float& logit : row) logit = static_cast<float>(level(random));
  for (const int k : {0, 1, 20, 300, 400}) {
    const RowLogprobs out = row_logprobs(row, 0, k);
    REQUIRE(out.top.size() == std::min<size_t>(k, row.size()));
    for (size_t i = 1; i < out.top.size(); ++i) {
      const auto& a = out.top[i - 1];
      const auto& b = out.top[i];
      CHECK((a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token)));
    }
  }
}
