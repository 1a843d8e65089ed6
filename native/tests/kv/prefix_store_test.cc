#include "kv/prefix_store.h"

#include <doctest/doctest.h>

using namespace pyserve;

namespace {

using Tokens = std::vector<Token>;

// Takes 100 bytes and the tokens.
PrefixStore::Entry entry(const std::string& key, Tokens tokens) {
  return {key, std::move(tokens), std::make_shared<const std::vector<uint8_t>>(100)};
}

}  // namespace

TEST_CASE("the copy with the longest common prefix is found, under its key") {
  PrefixStore store(1000, true);
  store.put(entry("a", {1, 2, 3}));
  store.put(entry("a", {1, 2, 4, 5}));
  store.put(entry("b", {1, 2, 4, 5, 6}));
  const auto hit = store.find("a", Tokens{1, 2, 4, 5, 6});
  REQUIRE(hit);
  CHECK(hit->n_tokens == 4);
  CHECK_FALSE(store.find("a", Tokens{9}));
  CHECK_FALSE(store.find("c", Tokens{1}));
}

TEST_CASE("only whole copies are found where prefixes cannot be cut") {
  PrefixStore store(1000, false);
  store.put(entry("", {1, 2, 3}));
  CHECK_FALSE(store.find("", Tokens{1, 2}));
  CHECK(store.find("", Tokens{1, 2, 3, 4})->n_tokens == 3);
  CHECK_FALSE(store.has("", Tokens{1, 2}));
  CHECK(store.has("", Tokens{1, 2, 3}));
}

TEST_CASE("bytes are counted and the copy that was used longest ago goes first") {
  PrefixStore store(2 * (100 + 4), true);
  store.put(entry("", {1}));
  store.put(entry("", {2}));
  CHECK(store.n_bytes() == 208);
  store.touch(*store.find("", Tokens{1}));
  store.put(entry("", {3}));
  CHECK(store.n_bytes() == 208);
  CHECK(store.has("", Tokens{1}));
  CHECK_FALSE(store.has("", Tokens{2}));
}

TEST_CASE("a longer copy replaces its prefix where prefixes can be cut") {
  for (const bool is_cuttable : {true, false}) {
    PrefixStore store(1000, is_cuttable);
    store.put(entry("", {1, 2}));
    store.put(entry("", {1, 2, 3}));
    CHECK(store.n_bytes() == (is_cuttable ? 112 : 220));
    store.put(entry("", {1, 2, 3}));
    CHECK(store.n_bytes() == (is_cuttable ? 112 : 220));
  }
}

TEST_CASE("what does not fit is not kept") {
  PrefixStore small(50, true);
  small.put(entry("", {1}));
  CHECK(small.n_bytes() == 0);
  PrefixStore off(0, true);
  off.put(entry("", {1}));
  CHECK_FALSE(off.has("", Tokens{1}));
}
