#include "engine/lanes/pooled.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace pyserve {
namespace {

const std::vector<std::vector<float>> kStates = {{3, 4}, {0, 1}, {-3, 7}};

std::vector<float> pooled(Pooling pooling, const std::vector<std::vector<float>>& states) {
  PooledState state(pooling, 2);
  for (const std::vector<float>& row : states) state.add(row);
  return state.normalized();
}

TEST_CASE("pooling takes all states, the first or the last, and makes the vector 1 long") {
  CHECK(pooled(Pooling::kMean, kStates) == std::vector<float>{0, 1});
  CHECK(pooled(Pooling::kFirst, kStates) == std::vector<float>{0.6F, 0.8F});
  const std::vector<float> last = pooled(Pooling::kLast, kStates);
  CHECK(last[0] == doctest::Approx(-3 / std::sqrt(58.0)));
  CHECK(last[1] == doctest::Approx(7 / std::sqrt(58.0)));
}

TEST_CASE("no vector is made of NaN, infinity or zeros") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(pooled(Pooling::kMean, {{1, 1}, {nan, 1}}).empty());
  CHECK(pooled(Pooling::kMean, {{inf, 1}}).empty());
  CHECK(pooled(Pooling::kMean, {{1, -1}, {-1, 1}}).empty());
  CHECK(pooled(Pooling::kFirst, {{1, 0}, {nan, 1}}) == std::vector<float>{1, 0});
}

TEST_CASE("states that are large or many lose nothing") {
  const float large = std::numeric_limits<float>::max();
  CHECK(pooled(Pooling::kMean, {{large, 0}, {large, 0}}) == std::vector<float>{1, 0});
  PooledState many(Pooling::kMean, 2);
  const std::vector<float> row = {0.1F, 0.1F};
  for (int i = 0; i < 1'000'000; ++i) many.add(row);
  CHECK(many.normalized()[0] == doctest::Approx(std::sqrt(0.5)).epsilon(1e-6));
}

}  // namespace
}  // namespace pyserve
