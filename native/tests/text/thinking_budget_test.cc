#include "text/thinking_budget.h"

#include <doctest/doctest.h>

#include <string>

using pyserve::ThinkingBudget;
using pyserve::ThinkingLimit;

namespace {

ThinkingBudget make(int max_tokens, bool is_open) {
  return ThinkingBudget(ThinkingLimit{"<think>", "</think>", is_open, max_tokens, {}});
}

// How many tokens of one byte are said before the budget is used up; -1: all of them.
int n_until_used_up(ThinkingBudget budget, const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (budget.is_used_up()) return static_cast<int>(i);
    budget.feed(text.substr(i, 1));
  }
  return budget.is_used_up() ? static_cast<int>(text.size()) : -1;
}

}  // namespace

TEST_CASE("thoughts are counted from their beginning on") {
  CHECK(n_until_used_up(make(3, true), "abcdef") == 3);
  CHECK(n_until_used_up(make(0, true), "abcdef") == 0);
  CHECK(n_until_used_up(make(3, false), " \n<think>abcdef") == 12);
  CHECK(n_until_used_up(make(-1, true), "abcdef") == -1);
}

TEST_CASE("an answer that does not begin with thoughts has none") {
  CHECK(n_until_used_up(make(0, false), "so <think>abcdef") == -1);
  CHECK(n_until_used_up(make(0, false), "<thin air") == -1);
  CHECK(n_until_used_up(make(0, false), "") == -1);
}

TEST_CASE("thoughts that have ended are not counted") {
  CHECK(n_until_used_up(make(12, true), "abc</think>defghijkl<think>mnopqrstuvwxyz") == -1);
  ThinkingBudget budget = make(1, true);
  budget.feed("abc</think>def");
  CHECK_FALSE(budget.is_used_up());
}

TEST_CASE("no character is broken off") {
  CHECK(n_until_used_up(make(1, true), "\xC3\xA4xyz") == 2);
}
