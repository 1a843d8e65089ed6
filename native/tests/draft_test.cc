#include "sched/draft.h"

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

using namespace pyserve;

namespace {

std::vector<Token> range(Token first, int n) {
  std::vector<Token> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

struct Run {
  int n_steps = 0;
  int n_proposed = 0;
  int n_accepted = 0;
};

// The steps that it takes to say `answer` when each step checks what `draft` proposes.
Run say(Draft& draft, const std::vector<Token>& answer, int n_max = Draft::kMaxLength) {
  Run run;
  for (size_t i = 0; i < answer.size();) {
    const TokenSpan span = draft.propose(n_max);
    const std::vector<Token> proposed(span.begin(), span.end());
    CHECK(static_cast<int>(proposed.size()) <= n_max);
    size_t n = 0;
    while (n < proposed.size() && i + n < answer.size() && proposed[n] == answer[i + n]) ++n;
    const size_t n_said = std::min(n + 1, answer.size() - i);
    for (size_t k = 0; k < n_said; ++k) draft.accept(answer[i + k]);
    draft.learn(static_cast<int>(proposed.size()), static_cast<int>(n));
    i += n_said;
    ++run.n_steps;
    run.n_proposed += static_cast<int>(proposed.size());
    run.n_accepted += static_cast<int>(n);
  }
  return run;
}

}  // namespace

TEST_CASE("an answer that is the draft is said in few steps") {
  Draft draft(range(0, 100));
  CHECK(say(draft, range(0, 100)).n_steps <= 10);
  CHECK(draft.propose(8).empty());
}

TEST_CASE("after a replaced, an inserted and a removed token the draft goes on") {
  for (const int kind : {0, 1, 2}) {
    std::vector<Token> answer = range(0, 100);
    if (kind == 0) answer[50] = 999;
    if (kind == 1) answer.insert(answer.begin() + 50, {998, 999});
    if (kind == 2) answer.erase(answer.begin() + 50);
    Draft draft(range(0, 100));
    CAPTURE(kind);
    CHECK(say(draft, answer).n_steps <= 20);
  }
}

TEST_CASE("a passage that moved is found by two of its tokens") {
  std::vector<Token> answer = range(60, 40);
  const std::vector<Token> first = range(0, 60);
  answer.insert(answer.end(), first.begin(), first.end());
  Draft draft(range(0, 100));
  CHECK(say(draft, answer).n_steps <= 28);
}

TEST_CASE("an answer that has nothing of the draft is hardly bothered") {
  Draft draft(range(0, 100));
  const Run run = say(draft, range(1000, 100));
  CHECK(run.n_accepted == 0);
  CHECK(run.n_proposed <= 16);
}

TEST_CASE("a limit of none proposes nothing, and so does an empty draft") {
  Draft draft(range(0, 4));
  CHECK(draft.propose(0).empty());
  CHECK(draft.propose(-1).empty());
  Draft empty({});
  CHECK(empty.propose(9).empty());
  empty.accept(1);
  CHECK(empty.propose(9).empty());
}
