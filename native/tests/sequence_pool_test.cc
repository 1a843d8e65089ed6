#include "kv/sequence_pool.h"

#include <doctest/doctest.h>

using namespace pyserve;

namespace {

const std::vector<Token> kPrompt{1, 2, 3, 4};

}  // namespace

TEST_CASE("common_prefix counts equal leading tokens") {
  CHECK(common_prefix(std::vector<Token>{1, 2, 3}, std::vector<Token>{1, 2, 4}) == 2);
  CHECK(common_prefix(std::vector<Token>{1, 2}, std::vector<Token>{1, 2, 3}) == 2);
  CHECK(common_prefix(std::vector<Token>{}, std::vector<Token>{1}) == 0);
}

TEST_CASE("a new pool gives every sequence once, empty") {
  SequencePool pool(2);
  const auto a = pool.acquire(kPrompt, "");
  const auto b = pool.acquire(kPrompt, "");
  REQUIRE(a);
  REQUIRE(b);
  CHECK(a->seq_id != b->seq_id);
  CHECK(a->n_reused == 0);
  CHECK_FALSE(pool.acquire(kPrompt, ""));
}

TEST_CASE("the idle sequence with the longest common prefix is reused") {
  SequencePool pool(3);
  const SeqId a = pool.acquire(kPrompt, "")->seq_id;
  const SeqId b = pool.acquire(kPrompt, "")->seq_id;
  pool.release(a, {1, 2, 9}, "");
  pool.release(b, {1, 2, 3, 9}, "");
  CHECK(pool.n_idle_tokens() == 7);
  const auto lease = pool.acquire(kPrompt, "");
  CHECK(lease->seq_id == b);
  CHECK(lease->n_reused == 3);
  CHECK(pool.n_idle_tokens() == 3);
}

TEST_CASE("prefixes are not shared between tenants") {
  SequencePool pool(2);
  pool.release(pool.acquire(kPrompt, "alice")->seq_id, kPrompt, "alice");
  CHECK(pool.acquire(kPrompt, "bob")->n_reused == 0);
  CHECK(pool.acquire(kPrompt, "alice")->n_reused == 4);
}

TEST_CASE("an empty sequence is taken before an idle one, and then the oldest idle one") {
  SequencePool pool(2);
  const SeqId a = pool.acquire(kPrompt, "")->seq_id;
  const SeqId b = pool.acquire(kPrompt, "")->seq_id;
  pool.release(b, {7}, "");
  pool.release(a, {8}, "");
  CHECK(pool.acquire(kPrompt, "")->seq_id == b);
  CHECK(pool.acquire(kPrompt, "")->seq_id == a);
}

TEST_CASE("eviction empties the oldest idle sequence and never an active one") {
  SequencePool pool(2);
  const SeqId a = pool.acquire(kPrompt, "")->seq_id;
  const SeqId b = pool.acquire(kPrompt, "")->seq_id;
  CHECK_FALSE(pool.evict_lru());
  pool.release(b, {1}, "");
  pool.release(a, {2}, "");
  CHECK(pool.evict_lru() == b);
  CHECK(pool.evict_lru() == a);
  CHECK_FALSE(pool.evict_lru());
  CHECK(pool.n_idle_tokens() == 0);
}

TEST_CASE("a dropped sequence holds nothing") {
  SequencePool pool(1);
  pool.drop(pool.acquire(kPrompt, "")->seq_id);
  CHECK(pool.acquire(kPrompt, "")->n_reused == 0);
}
