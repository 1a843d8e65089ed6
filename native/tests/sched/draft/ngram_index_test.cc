#include "sched/draft/ngram_index.h"

#include <doctest/doctest.h>

#include <vector>

using namespace pyserve;

namespace {

NgramIndex index_of(const std::vector<Token>& tokens) {
  NgramIndex index(tokens.size());
  for (const Token token : tokens) index.add(token);
  return index;
}

}  // namespace

TEST_CASE("the longest match wins over later ones") {
  const NgramIndex index = index_of({1, 2, 3, 4, 50, 9, 3, 4, 60, 1, 2, 3, 4});
  const NgramIndex::Match match = index.find({});
  CHECK(match.next == 4);
  CHECK(match.n_tokens == 4);
}

TEST_CASE("of equal matches the latest is found, or the first that is preferred") {
  const NgramIndex index = index_of({3, 4, 50, 3, 4, 51, 3, 4, 52, 3, 4});
  CHECK(index.find({}).next == 8);
  CHECK(index.find({3, 7}).next == 5);
  CHECK(index.find({0, 7}).next == 2);
}

TEST_CASE("one token is no match, and neither is a text without repetition") {
  CHECK(index_of({}).find({}).n_tokens == 0);
  CHECK(index_of({5}).find({}).n_tokens == 0);
  CHECK(index_of({1, 5, 2, 5}).find({}).n_tokens == 0);
  CHECK(index_of({1, 2, 3, 4}).find({}).n_tokens == 0);
}

TEST_CASE("a match is no longer than can be told, in a text of one token") {
  NgramIndex index(4);
  for (int i = 0; i < 100'000; ++i) index.add(7);
  const NgramIndex::Match match = index.find({});
  CHECK(match.n_tokens == NgramIndex::kMaxMatch);
  CHECK(match.next == 99'999);
}
