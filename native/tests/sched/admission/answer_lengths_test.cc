#include "sched/admission/answer_lengths.h"

#include <doctest/doctest.h>

using pyserve::AnswerLengths;

namespace {

AnswerLengths ended_after(std::initializer_list<int> lengths, bool has_ended = true) {
  AnswerLengths seen;
  for (const int n : lengths) seen.push(n, has_ended);
  return seen;
}

}  // namespace

TEST_CASE("answers that end by themselves become as long as others did") {
  const AnswerLengths seen = ended_after({10, 20, 30, 40});
  CHECK(seen.expected_more(0, 1000) == doctest::Approx(25));
  CHECK(seen.expected_more(25, 1000) == doctest::Approx(10));
  CHECK(seen.expected_more(0, 20) == doctest::Approx((10 + 20 + 20 + 20) / 4.0));
  CHECK(seen.expected_more(35, 0) == doctest::Approx(0));
}

TEST_CASE("answers that a limit cut off would have been longer") {
  CHECK(ended_after({64, 64, 64}, false).expected_more(0, 64) == doctest::Approx(64));
  CHECK(ended_after({64, 64, 64}, false).expected_more(0, 200) == doctest::Approx(200));
  AnswerLengths seen = ended_after({64}, false);
  seen.push(100, true);
  CHECK(seen.expected_more(0, 1000) == doctest::Approx(100));
}

TEST_CASE("one that is longer than all before is in the middle, and the old ones are forgotten") {
  AnswerLengths seen = ended_after({10, 30});
  CHECK(seen.expected_more(50, 1000) == doctest::Approx(20));
  CHECK(seen.expected_more(50, 5) == doctest::Approx(5));
  for (int i = 0; i < 64; ++i) seen.push(500, true);
  CHECK(seen.expected_more(0, 1000) == doctest::Approx(500));
}
