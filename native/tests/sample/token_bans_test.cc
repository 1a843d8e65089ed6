#include "sample/token_bans.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace pyserve;

namespace {

constexpr int kVocab = 6;

// The tokens that may come next.
std::vector<Token> allowed_after(BanRules rules, const std::vector<Token>& said) {
  TokenBans bans(std::move(rules), kVocab);
  for (const Token token : said) bans.accept(token);
  std::vector<float> row(kVocab, 1.0F);
  bans.mask(row);
  std::vector<Token> allowed;
  for (Token token = 0; token < kVocab; ++token) {
    if (!std::isinf(row[token])) allowed.push_back(token);
  }
  return allowed;
}

const std::vector<Token> kAll{0, 1, 2, 3, 4, 5};

}  // namespace

TEST_CASE("tokens that are not allowed are banned everywhere") {
  BanRules rules;
  rules.allowed = {1, 4};
  CHECK(allowed_after(rules, {}) == std::vector<Token>{1, 4});
  CHECK(allowed_after(rules, {1, 4, 1}) == std::vector<Token>{1, 4});
}

TEST_CASE("the last token of a sequence is banned after all before it, and nowhere else") {
  BanRules rules;
  rules.sequences = {{1, 2, 3}, {5}};
  const std::vector<Token> without_five{0, 1, 2, 3, 4};
  CHECK(allowed_after(rules, {}) == without_five);
  CHECK(allowed_after(rules, {2}) == without_five);
  CHECK(allowed_after(rules, {1, 4, 2}) == without_five);
  CHECK(allowed_after(rules, {0, 0, 1, 2}) == std::vector<Token>{0, 1, 2, 4});
}

TEST_CASE("the answer cannot end before it has its tokens") {
  BanRules rules;
  rules.ends = {0, 2};
  rules.n_before_end = 2;
  CHECK(allowed_after(rules, {}) == std::vector<Token>{1, 3, 4, 5});
  CHECK(allowed_after(rules, {1}) == std::vector<Token>{1, 3, 4, 5});
  CHECK(allowed_after(rules, {1, 1}) == kAll);
}

TEST_CASE("bans are idle when there is nothing to ban, now or for good") {
  CHECK(TokenBans({}, kVocab).is_idle());
  BanRules rules;
  rules.ends = {0};
  rules.n_before_end = 1;
  TokenBans bans(rules, kVocab);
  CHECK(!bans.is_idle());
  CHECK(!bans.has_lasting());
  bans.accept(1);
  CHECK(bans.is_idle());
  rules.allowed.emplace();
  CHECK(TokenBans(rules, kVocab).has_lasting());
}
