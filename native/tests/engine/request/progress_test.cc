// What is computed of a request, without a model.

#include "engine/request/progress.h"

#include <doctest/doctest.h>

#include <climits>
#include <vector>

using namespace pyserve;

namespace {

std::vector<Token> tokens_of(TokenSpan span) { return {span.begin(), span.end()}; }

// A prompt of ten tokens, 0 to 9, all of which are computed, and the first token of an answer.
RequestProgress decoding() {
  RequestProgress progress({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  progress.start(3, 4);
  progress.advance(6);
  progress.append(10);
  return progress;
}

}  // namespace

TEST_CASE("computed tokens catch up with known ones") {
  RequestProgress progress({0, 1, 2, 3, 4});
  progress.start(7, 2);
  CHECK(progress.seq_id() == 7);
  CHECK(progress.n_missing() == 3);
  CHECK(tokens_of(progress.next_tokens(2)) == std::vector<Token>{2, 3});
  progress.advance(2);
  CHECK(tokens_of(progress.computed_tokens()) == std::vector<Token>{0, 1, 2, 3});
  progress.advance(1);
  CHECK(!progress.is_answering());
  progress.append(5);
  CHECK(progress.is_answering());
  CHECK(progress.n_prompt() == 5);
  CHECK(progress.n_answer() == 1);
  CHECK(tokens_of(progress.next_tokens(1)) == std::vector<Token>{5});
}

TEST_CASE("a preempted request keeps its tokens, and counts what was cached at its first start") {
  RequestProgress progress = decoding();
  progress.set_draft(std::vector<Token>{11});
  const auto started_at = progress.started_at();
  progress.preempt();
  CHECK(progress.was_preempted());
  CHECK(progress.seq_id() < 0);
  CHECK(progress.n_missing() == 11);
  CHECK(progress.n_draft() == 0);
  progress.start(1, 9);
  CHECK(progress.n_cached() == 4);
  CHECK(progress.started_at() == started_at);
  CHECK(progress.n_missing() == 2);
}

TEST_CASE("the planner sees a request up to its next cut, without cells that are not its own") {
  RequestProgress progress({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  progress.start(0, 2);
  progress.add_cut(1);
  progress.add_cut(6);
  progress.set_turn(5);
  const RunningView view = progress.view(1, INT_MAX);
  CHECK(view.n_computed == 1);
  CHECK(view.n_known == 5);
  CHECK(view.last_turn == 5);
  CHECK(progress.view(0, 3).n_missing() == 3);
  CHECK(!progress.is_at_cut());
  progress.advance(4);
  CHECK(progress.is_at_cut());
  CHECK(progress.view(0, INT_MAX).n_known == 10);
}

TEST_CASE("a step that checks a draft computes the last known token before it") {
  RequestProgress progress = decoding();
  REQUIRE(progress.can_draft());
  progress.set_draft(std::vector<Token>{11, 12});
  CHECK(progress.n_draft() == 2);
  CHECK(tokens_of(progress.next_tokens(1)) == std::vector<Token>{10, 11, 12});
  CHECK(progress.n_known() == 11);
  CHECK(progress.take_draft() == std::vector<Token>{11, 12});
  CHECK(progress.take_draft().empty());
  progress.set_draft(std::vector<Token>{11});
  progress.set_draft({});
  CHECK(tokens_of(progress.next_tokens(1)) == std::vector<Token>{10});
}

TEST_CASE("only a request that decodes its last known token can check a draft") {
  RequestProgress prompt({0, 1});
  prompt.start(0, 1);
  CHECK(!prompt.can_draft());
  RequestProgress cut = decoding();
  cut.add_cut(11);
  CHECK(!cut.can_draft());
  RequestProgress behind = decoding();
  behind.append(11);
  CHECK(!behind.can_draft());
}
