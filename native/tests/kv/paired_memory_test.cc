#include "kv/paired_memory.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fake_memory.h"
#include "kv/prefix_cache.h"

namespace pyserve {
namespace {

constexpr int kRow = 1;

// A model and a head that reads each token when the state before it is there, as the engine has it.
struct Pair {
  explicit Pair(MemoryKind kind) : model(kind) {}

  void compute(SeqId seq_id, int pos, TokenSpan tokens) {
    model.compute(seq_id, pos, tokens);
    rows.truncate(seq_id, pos);
    for (size_t i = 0; i < tokens.size(); ++i) {
      rows.add(seq_id, pos + static_cast<int>(i), std::vector<float>(kRow, 0));
    }
  }
  // Whether the head can read tokens[n_read], the next one that it has not read.
  bool can_read(SeqId seq_id, int n_read) const { return !rows.row(seq_id, n_read - 1).empty(); }

  FakeMemory model;
  FakeMemory head{MemoryKind::kPlain};
  StateRows rows{kRow};
  PairedMemory memory{model, head, rows};
};

PrefixCacheLimits limits() {
  PrefixCacheLimits limits;
  limits.n_active = 2;
  limits.n_pins = 4;
  limits.n_cells = 100;
  limits.n_store_bytes = 1000;
  limits.repeats_last = true;
  return limits;
}

const std::vector<Token> kTokens{1, 2, 3, 4, 5, 6, 7, 8};

// Computed by one request, read by its head, and left to others.
void leave(Pair& pair, PrefixCache& cache) {
  const auto start = cache.acquire("", kTokens);
  pair.compute(start->seq_id, 0, kTokens);
  pair.head.compute(start->seq_id, 0, kTokens);
  cache.advance(start->seq_id, static_cast<int>(kTokens.size()));
  cache.release(start->seq_id, kTokens);
}

TEST_CASE("a prefix that is cut leaves its last token to the model, and nothing to its head") {
  Pair pair(MemoryKind::kPlain);
  PrefixCache cache(pair.memory, limits());
  leave(pair, cache);
  const std::vector<Token> tokens{1, 2, 3, 4, 5, 9, 9};
  CHECK(cache.offer("", tokens).n_cached == 4);
  const auto start = cache.acquire("", tokens);
  CHECK(start->n_computed == 4);
  CHECK(pair.model.holds(start->seq_id, TokenSpan(tokens).first(4)));
  CHECK(pair.head.holds(start->seq_id, TokenSpan(tokens).first(5)));
  pair.compute(start->seq_id, 4, TokenSpan(tokens).subspan(4));
  CHECK(pair.can_read(start->seq_id, 5));
  CHECK(cache.check() == "");
}

TEST_CASE("a prefix of one token is no prefix") {
  Pair pair(MemoryKind::kPlain);
  PrefixCache cache(pair.memory, limits());
  leave(pair, cache);
  const std::vector<Token> tokens{1, 9};
  CHECK(cache.acquire("", tokens)->n_computed == 0);
  CHECK(cache.check() == "");
}

TEST_CASE("memory that cannot be cut keeps the last state with the end of a prefix") {
  Pair pair(MemoryKind::kRecurrent);
  PrefixCache cache(pair.memory, limits());
  leave(pair, cache);
  std::vector<Token> tokens = kTokens;
  tokens.push_back(9);
  const auto start = cache.acquire("", tokens);
  CHECK(start->n_computed == 8);
  CHECK(pair.head.holds(start->seq_id, kTokens));
  CHECK(pair.can_read(start->seq_id, 8));
}

TEST_CASE("what is taken back is taken back of both") {
  Pair pair(MemoryKind::kPlain);
  PrefixCache cache(pair.memory, limits());
  const auto start = cache.acquire("", kTokens);
  pair.compute(start->seq_id, 0, kTokens);
  pair.head.compute(start->seq_id, 0, kTokens);
  cache.advance(start->seq_id, 5);
  cache.undo(start->seq_id);
  CHECK(pair.model.holds(start->seq_id, TokenSpan(kTokens).first(5)));
  CHECK(pair.head.holds(start->seq_id, TokenSpan(kTokens).first(5)));
  CHECK(pair.rows.end(start->seq_id) == 5);
}

TEST_CASE("a copy has both, and damaged ones are refused") {
  Pair pair(MemoryKind::kPlain);
  pair.compute(0, 0, kTokens);
  pair.head.compute(0, 0, TokenSpan(kTokens).first(6));
  const std::vector<uint8_t> data = pair.memory.save(0, 1000);
  CHECK(pair.memory.save(0, data.size() - 1).empty());
  CHECK(pair.memory.restore(1, data));
  CHECK(pair.model.holds(1, kTokens));
  CHECK(pair.head.holds(1, TokenSpan(kTokens).first(6)));
  CHECK(pair.rows.end(1) == 8);
  for (size_t n = 0; n < data.size(); ++n) {
    CHECK_FALSE(pair.memory.restore(2, {data.begin(), data.begin() + static_cast<int>(n)}));
  }
}

}  // namespace
}  // namespace pyserve
