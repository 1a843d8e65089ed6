#include "engine/lanes/shared_beginning.h"

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

namespace pyserve {
namespace {

std::vector<Token> counted(int n_tokens, Token last) {
  std::vector<Token> tokens(n_tokens);
  std::iota(tokens.begin(), tokens.end(), 0);
  tokens.push_back(last);
  return tokens;
}

TEST_CASE("the longest beginning that is computed is shared") {
  const std::vector<Token> prompt = counted(100, 500);
  const std::vector<Token> shorter = counted(40, 600);
  const std::vector<Token> longer = counted(50, 700);
  SharedBeginning shared(prompt);
  CHECK(shared.n_tokens() == 0);
  CHECK(shared.is_computed());
  shared.offer(3, shorter, 41);
  shared.offer(5, longer, 51);
  shared.offer(4, shorter, 41);
  CHECK(shared.seq_id() == 5);
  CHECK(shared.n_tokens() == 50);
  CHECK(shared.is_computed());
}

TEST_CASE("the last token is computed in any case") {
  const std::vector<Token> prompt = counted(30, 500);
  SharedBeginning shared(prompt);
  shared.offer(0, prompt, 31);
  CHECK(shared.n_tokens() == 30);
}

TEST_CASE("a few tokens are not worth it, nor is it to wait for a few more") {
  const std::vector<Token> prompt = counted(100, 500);
  SharedBeginning shared(prompt);
  shared.offer(0, counted(15, 600), 16);
  CHECK(shared.n_tokens() == 0);
  shared.offer(1, counted(40, 600), 41);
  shared.offer(2, counted(50, 600), 10);
  CHECK(shared.seq_id() == 1);
  shared.offer(3, counted(56, 600), 10);
  CHECK(shared.seq_id() == 3);
  CHECK(shared.n_tokens() == 56);
  CHECK(!shared.is_computed());
}

TEST_CASE("what is computed already is enough of a prompt that still runs") {
  const std::vector<Token> prompt = counted(40, 500);
  SharedBeginning shared(prompt);
  shared.offer(0, counted(100, 600), 40);
  CHECK(shared.n_tokens() == 40);
  CHECK(shared.is_computed());
}

}  // namespace
}  // namespace pyserve
