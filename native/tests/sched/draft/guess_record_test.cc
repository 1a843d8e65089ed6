#include "sched/draft/guess_record.h"

#include <doctest/doctest.h>

#include <vector>

namespace pyserve {
namespace {

TEST_CASE("what was guessed is compared with what was said, as far as both go") {
  const std::vector<Token> guess{5, 6, 7};
  const auto chance_after = [&](const std::vector<Token>& tokens) {
    GuessRecord record;
    for (int i = 0; i < 100; ++i) record.learn(tokens, 2, guess);
    return record.chance();
  };
  CHECK(chance_after({1, 2, 5, 6, 7, 8}) > 0.9);
  CHECK(chance_after({1, 2, 5}) > 0.9);
  CHECK(chance_after({1, 2, 5, 6, 9}) == doctest::Approx(0.66).epsilon(0.1));
  CHECK(chance_after({1, 2, 9, 6, 7}) < 0.1);
  CHECK(chance_after({1, 2}) == GuessRecord().chance());
}

}  // namespace
}  // namespace pyserve
