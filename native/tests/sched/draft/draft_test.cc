#include "sched/draft/draft.h"

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include "sched/draft/guess_policy.h"
#include "sched/draft/plan.h"

using namespace pyserve;

namespace {

std::vector<Token> range(Token first, int n) {
  std::vector<Token> tokens(n);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<Token> concat(std::vector<Token> a, const std::vector<Token>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Tokens that hardly ever repeat each other, as long as there are fewer than a million.
std::vector<Token> noise(int n, uint32_t seed) {
  std::vector<Token> tokens;
  for (int i = 0; i < n; ++i) {
    seed = seed * 1664525 + 1013904223;
    tokens.push_back(static_cast<Token>(seed >> 8));
  }
  return tokens;
}

double step_ms(int n_rows) { return 1 + 0.15 * (n_rows - 1); }

struct Run {
  int n_steps = 0;
  int n_proposed = 0;
  int n_accepted = 0;
  double ms = 0;
};

// Says `answer` in steps that check what the draft proposes, as many as pays.
Run say(Draft& draft, const std::vector<Token>& answer) {
  Run run;
  for (size_t i = 0; i < answer.size();) {
    const Proposal proposal = draft.propose(Draft::kMaxLength);
    const int n_checked = plan_drafts({proposal.chances}, {16}, step_ms)[0];
    const TokenSpan proposed = TokenSpan(proposal.tokens).first(n_checked);
    size_t n = 0;
    while (n < proposed.size() && i + n < answer.size() && proposed[n] == answer[i + n]) ++n;
    const size_t n_said = std::min(n + 1, answer.size() - i);
    for (size_t k = 0; k < n_said; ++k) draft.accept(answer[i + k]);
    i += n_said;
    ++run.n_steps;
    run.n_proposed += n_checked;
    run.n_accepted += static_cast<int>(n);
    run.ms += step_ms(1 + n_checked);
  }
  return run;
}

}  // namespace

TEST_CASE("an answer that is the known text is said in few steps") {
  Draft draft({}, range(0, 100));
  CHECK(draft.propose(1).kind == DraftKind::kKnown);
  CHECK(say(draft, range(0, 100)).n_steps <= 14);
  CHECK(draft.propose(8).tokens.empty());
}

TEST_CASE("after a replaced, an inserted and a removed token the known text goes on") {
  for (const int kind : {0, 1, 2}) {
    std::vector<Token> answer = range(0, 100);
    if (kind == 0) answer[50] = 999;
    if (kind == 1) answer.insert(answer.begin() + 50, {998, 999});
    if (kind == 2) answer.erase(answer.begin() + 50);
    Draft draft({}, range(0, 100));
    CAPTURE(kind);
    CHECK(say(draft, answer).n_steps <= 20);
  }
}

TEST_CASE("a passage that moved is found by two of its tokens") {
  Draft draft({}, range(0, 100));
  CHECK(say(draft, concat(range(60, 40), range(0, 60))).n_steps <= 30);
}

TEST_CASE("an answer that repeats its prompt is found there") {
  const std::vector<Token> prompt = noise(200, 1);
  Draft draft(prompt, {});
  CHECK(draft.propose(8).tokens.empty());  // nothing has been said
  const std::vector<Token> part(prompt.begin() + 20, prompt.begin() + 120);
  const Run run = say(draft, part);
  CHECK(run.n_steps <= 30);
  CHECK(draft.propose(1).kind == DraftKind::kRepeated);
}

TEST_CASE("an answer that repeats itself is drafted beyond its own end") {
  std::vector<Token> answer;
  for (int i = 0; i < 40; ++i) answer.insert(answer.end(), {7, 8, 9});
  Draft draft(range(100, 50), {});
  CHECK(say(draft, answer).n_steps <= 24);
}

TEST_CASE("an answer that has nothing of the known text is hardly bothered") {
  Draft draft({}, range(0, 100));
  const Run run = say(draft, range(1000, 100));
  CHECK(run.n_accepted == 0);
  CHECK(run.n_proposed <= 16);
}

TEST_CASE("matches that lead nowhere cost hardly anything") {
  // Every other pair of the answer is one of the prompt, and the token after it never is.
  const std::vector<Token> prompt = noise(1000, 2);
  std::vector<Token> answer;
  for (int i = 0; i < 300; ++i) {
    answer.insert(answer.end(), {prompt[3 * i], prompt[3 * i + 1], 2000000 + i});
  }
  Draft draft(prompt, {});
  const Run run = say(draft, answer);
  CHECK(run.ms <= 1.01 * static_cast<double>(answer.size()));
}

TEST_CASE("matches of one length that are right are used though others are wrong") {
  // Pairs are followed by something else, longer passages go on.
  const std::vector<Token> prompt = noise(2000, 3);
  std::vector<Token> answer;
  for (int i = 0; i < 20; ++i) {
    for (int k = 0; k < 10; ++k) {
      answer.insert(answer.end(), {prompt[50 * k], prompt[50 * k + 1], 2000000 + 10 * i + k});
    }
    answer.insert(answer.end(), prompt.begin() + 1000 + 40 * i, prompt.begin() + 1040 + 40 * i);
  }
  Draft draft(prompt, {});
  const Run run = say(draft, answer);
  CHECK(run.ms < 0.75 * static_cast<double>(answer.size()));
}

TEST_CASE("what is proposed are tokens of the texts, also where the known text has ended") {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::vector<Token> tokens = noise(60, seed);
    for (Token& token : tokens) token = 1 + token % 3;
    const TokenSpan all(tokens);
    Draft draft(all.first(6), all.subspan(6, 4));
    for (const Token token : all.subspan(10)) {
      for (const Token proposed : draft.propose(Draft::kMaxLength).tokens) REQUIRE(proposed > 0);
      draft.accept(token);
    }
  }
}

TEST_CASE("a limit of none proposes nothing, and so does an empty draft") {
  Draft draft({}, range(0, 4));
  CHECK(draft.propose(0).tokens.empty());
  CHECK(draft.propose(-1).tokens.empty());
  Draft empty({}, {});
  CHECK(empty.propose(9).tokens.empty());
  empty.accept(1);
  CHECK(empty.propose(9).tokens.empty());
}

TEST_CASE("few requests share a step by how sure they are") {
  const std::vector<std::vector<double>> chances{{0.9, 0.8, 0.1}, {0.5, 0.2}, {}};
  const std::vector<int> n = plan_drafts(chances, {16}, step_ms);
  CHECK(n == std::vector<int>{2, 1, 0});
  CHECK(plan_drafts(chances, {4}, step_ms) == std::vector<int>{1, 0, 0});
  CHECK(plan_drafts(chances, {3}, step_ms) == std::vector<int>{0, 0, 0});
}

TEST_CASE("steps whose rows all cost the same check only what is certain") {
  const auto proportional = [](int n_rows) { return 2.0 * n_rows; };
  CHECK(plan_drafts({{0.99, 0.9}}, {16}, proportional) == std::vector<int>{0});
}

TEST_CASE("a row that is dear at first pays with those after it") {
  const auto dear_second = [](int n_rows) { return n_rows == 1 ? 1.0 : 2.0; };
  CHECK(plan_drafts({{0.95, 0.9, 0.85, 0.8}}, {16}, dear_second) == std::vector<int>{4});
  CHECK(plan_drafts({{0.5, 0.25}}, {16}, dear_second) == std::vector<int>{0});
}

TEST_CASE("a draft model guesses more the surer it is, and nothing where it is dear") {
  const auto choose = [](double chance, double guess_ms, int n_requests, int n_max) {
    return choose_guesses({n_requests, 1, n_max, 16, chance, guess_ms}, step_ms);
  };
  CHECK(choose(0.9, 0.05, 1, 15) >= 4);
  CHECK(choose(0.5, 0.05, 1, 15) <= 2);
  CHECK(choose(0.1, 0.05, 1, 15) == 0);
  CHECK(choose(0.9, 1.0, 1, 15) == 0);
  CHECK(choose(0.9, 0.05, 1, 0) == 0);
  CHECK(choose(0.9, 0.05, 16, 15) == 0);
}

TEST_CASE("guesses and the step that checks them end in time") {
  GuessChoice choice{1, 1, 15, 16, 0.9, 0.05};
  choice.most_ms = 1.5;
  const int n = choose_guesses(choice, step_ms);
  CHECK(n == 2);
  choice.most_ms = 1;
  CHECK(choose_guesses(choice, step_ms) == 0);
}

TEST_CASE("requests that are guessed for together share the rows of a step") {
  const auto same = [](int) { return 10.0; };
  CHECK(choose_guesses({1, 1, 15, 16, 0.9, 0.1}, same) == 15);
  CHECK(choose_guesses({4, 4, 15, 16, 0.9, 0.1}, same) == 3);
  CHECK(choose_guesses({8, 8, 15, 16, 0.9, 0.1}, same) == 1);
  CHECK(choose_guesses({12, 12, 15, 16, 0.9, 0.1}, same) == 0);
}
