#include "kv/prefix_cache.h"

#include <doctest/doctest.h>

#include <random>

#include "fake_memory.h"

using namespace pyserve;

namespace {

using Tokens = std::vector<Token>;

PrefixCacheLimits limits(int n_active, int n_pins, int n_cells, size_t n_store_bytes = 0) {
  return {n_active, n_pins, n_cells, n_store_bytes};
}

Tokens sequence_of(int n_tokens, Token first = 0) {
  Tokens tokens;
  for (int i = 0; i < n_tokens; ++i) tokens.push_back((first + i) % 200);
  return tokens;
}

// Computes what is missing of `tokens` in a sequence.
void compute(PrefixCache& cache, FakeMemory& memory, SeqId seq_id, int from, TokenSpan tokens) {
  const auto n_tokens = static_cast<int>(tokens.size()) - from;
  REQUIRE(cache.make_room(n_tokens));
  memory.compute(seq_id, from, tokens.subspan(from));
  cache.advance(seq_id, n_tokens);
}

// A whole request; returns how many tokens it did not compute.
int serve(PrefixCache& cache, FakeMemory& memory, const Tokens& tokens,
          const std::string& key = "") {
  const auto start = cache.acquire(key, TokenSpan(tokens).first(tokens.size() - 1));
  REQUIRE(start);
  compute(cache, memory, start->seq_id, start->n_computed, tokens);
  CHECK(memory.holds(start->seq_id, tokens));
  cache.release(start->seq_id, tokens);
  CHECK(cache.check() == "");
  CHECK(memory.n_cells() == cache.n_used_cells());
  return start->n_computed;
}

}  // namespace

TEST_CASE("a chat pays for its new turn only, and another chat keeps its tail") {
  for (const auto kind : {MemoryKind::kPlain, MemoryKind::kWindow, MemoryKind::kRecurrent}) {
    FakeMemory memory(kind);
    PrefixCache cache(memory, limits(2, 8, 1000));
    Tokens one = sequence_of(40);
    Tokens two = sequence_of(20);
    two.insert(two.end(), 20, 77);
    CHECK(serve(cache, memory, one) == 0);
    serve(cache, memory, two);
    one.insert(one.end(), 10, 55);
    two.insert(two.end(), 10, 66);
    CHECK(serve(cache, memory, one) == 40);
    CHECK(serve(cache, memory, two) == 40);
  }
}

TEST_CASE("a published prefix is forked by others while its request runs") {
  for (const auto kind : {MemoryKind::kPlain, MemoryKind::kWindow, MemoryKind::kRecurrent}) {
    FakeMemory memory(kind);
    PrefixCache cache(memory, limits(3, 3, 1000));
    const Tokens prompt = sequence_of(30);
    const SeqId first = cache.acquire("", prompt)->seq_id;
    compute(cache, memory, first, 0, prompt);
    CHECK(cache.publish(first, prompt));
    CHECK(cache.n_own_cells() == 0);
    for (int i = 0; i < 2; ++i) CHECK(cache.acquire("", prompt)->n_computed == 30);
    CHECK(memory.n_cells() == 30);
    CHECK_FALSE(cache.acquire("", prompt));
    CHECK(cache.n_free_cells() == 1000 - 30);
    CHECK(cache.check() == "");
  }
}

TEST_CASE("memory that has moved on cannot be published") {
  FakeMemory memory(MemoryKind::kRecurrent);
  PrefixCache cache(memory, limits(1, 2, 1000));
  const Tokens prompt = sequence_of(30);
  const SeqId seq_id = cache.acquire("", prompt)->seq_id;
  compute(cache, memory, seq_id, 0, prompt);
  CHECK_FALSE(cache.publish(seq_id, TokenSpan(prompt).first(20)));
  CHECK(cache.publish(seq_id, prompt));
}

TEST_CASE("cells that two requests computed apart are kept once") {
  FakeMemory memory(MemoryKind::kPlain);
  PrefixCache cache(memory, limits(2, 4, 1000));
  const Tokens prompt = sequence_of(30);
  const SeqId one = cache.acquire("", prompt)->seq_id;
  const SeqId two = cache.acquire("", prompt)->seq_id;
  for (const SeqId seq_id : {one, two}) compute(cache, memory, seq_id, 0, prompt);
  CHECK(memory.n_cells() == 60);
  CHECK(cache.publish(one, prompt));
  CHECK(cache.publish(two, prompt));
  CHECK(memory.n_cells() == 30);
  CHECK(cache.n_used_cells() == 30);
}

TEST_CASE("an evicted prefix comes back from its copy") {
  for (const auto kind : {MemoryKind::kPlain, MemoryKind::kWindow, MemoryKind::kRecurrent}) {
    FakeMemory memory(kind);
    PrefixCache cache(memory, limits(1, 4, 150, 10'000));
    const Tokens old = sequence_of(100);
    serve(cache, memory, old);
    serve(cache, memory, sequence_of(120, 100));
    CHECK(cache.n_store_bytes() > 0);
    Tokens next = old;
    next.insert(next.end(), 5, 3);
    CHECK(cache.offer("", next).n_cached == 100);
    const auto start = cache.acquire("", next);
    CHECK(start->is_restored);
    CHECK(start->n_computed == 100);
    CHECK(memory.holds(start->seq_id, old));
    CHECK(memory.n_cells() == cache.n_used_cells());
    CHECK(cache.check() == "");
  }
}

TEST_CASE("what is cleared is kept nowhere, but for what a request uses") {
  for (const auto kind : {MemoryKind::kPlain, MemoryKind::kWindow, MemoryKind::kRecurrent}) {
    FakeMemory memory(kind);
    PrefixCache cache(memory, limits(2, 4, 150, 10'000));
    cache.on_evict([](const std::string&, TokenSpan) { FAIL("it is not wanted any more"); });
    const Tokens old = sequence_of(60);
    serve(cache, memory, old);
    const Tokens prompt = sequence_of(30, 100);
    const SeqId running = cache.acquire("", prompt)->seq_id;
    compute(cache, memory, running, 0, prompt);
    REQUIRE(cache.publish(running, prompt));
    cache.clear();
    CHECK(cache.check() == "");
    CHECK(cache.offer("", old).n_cached == 0);
    CHECK(memory.holds(running, prompt));
    CHECK(memory.n_cells() == 30);
    cache.release(running, prompt);
    cache.clear();
    CHECK(memory.n_cells() == 0);
    CHECK(cache.n_store_bytes() == 0);
    CHECK(cache.check() == "");
  }
}

TEST_CASE("a copy that cannot be read is a miss") {
  FakeMemory memory(MemoryKind::kPlain);
  PrefixCache cache(memory, limits(1, 4, 150, 10'000));
  const Tokens old = sequence_of(100);
  serve(cache, memory, old);
  serve(cache, memory, sequence_of(120, 100));
  memory.fails_to_restore = true;
  CHECK(serve(cache, memory, old) == 0);
}

TEST_CASE("without pins nothing is kept and nothing breaks") {
  FakeMemory memory(MemoryKind::kPlain);
  PrefixCache cache(memory, limits(1, 0, 100));
  CHECK_FALSE(cache.can_share());
  for (int i = 0; i < 2; ++i) CHECK(serve(cache, memory, sequence_of(50)) == 0);
  CHECK(memory.n_cells() == 0);
}

namespace {

// Random requests over few distinct tokens; after every operation the cells are counted.
class Stress {
 public:
  Stress(MemoryKind kind, unsigned seed)
      : memory_(kind), cache_(memory_, limits(4, 6, kCells, 3000)), rng_(seed) {}

  void run(int n_operations) {
    for (int i = 0; i < n_operations; ++i) {
      operate();
      check();
    }
  }

 private:
  static constexpr int kCells = 300;

  struct Running {
    SeqId seq_id = -1;
    Tokens tokens;
    int n_computed = 0;
  };

  int random(int n) { return static_cast<int>(rng_() % n); }

  // Mostly runs of one token, so that prefixes are long and equal.
  Tokens random_tokens() {
    Tokens tokens;
    for (int i = random(3) + 1; i > 0; --i) tokens.insert(tokens.end(), random(90) + 1, random(3));
    return tokens;
  }

  void operate() {
    if (random(10) == 0) memory_.recycle_all();
    switch (random(8)) {
      case 0:
      case 1:
        return start();
      case 2:
      case 3:
      case 4:
        return compute();
      case 5:
        return publish();
      case 6:
        return end();
      default:
        if (random(3) == 0) cache_.evict_one();
    }
  }

  void start() {
    const Tokens tokens = random_tokens();
    const std::string key = random(4) == 0 ? "other" : "";
    const auto offer = cache_.offer(key, tokens);
    const int n_free = cache_.n_free_cells();
    const auto place = cache_.acquire(key, tokens);
    if (!place) return;
    const auto n_missing = static_cast<int>(tokens.size()) - place->n_computed;
    CHECK(n_free - cache_.n_free_cells() + n_missing == offer.n_cells);
    if (offer.n_cells <= n_free) CHECK(place->n_computed == offer.n_cached);
    running_.push_back({place->seq_id, tokens, place->n_computed});
  }

  void compute() {
    if (running_.empty()) return;
    Running& request = running_[random(static_cast<int>(running_.size()))];
    const int n_missing = static_cast<int>(request.tokens.size()) - request.n_computed;
    if (n_missing == 0) return;
    const int n_tokens = random(n_missing) + 1;
    const bool has_room = cache_.n_free_cells() >= n_tokens;
    CHECK(cache_.make_room(n_tokens) == has_room);
    if (!has_room) return;
    const TokenSpan tokens = request.tokens;
    memory_.compute(request.seq_id, request.n_computed,
                    tokens.subspan(request.n_computed, n_tokens));
    cache_.advance(request.seq_id, n_tokens);
    request.n_computed += n_tokens;
  }

  void publish() {
    if (running_.empty()) return;
    Running& request = running_[random(static_cast<int>(running_.size()))];
    if (request.n_computed == 0) return;
    const int n_tokens = random(2) == 0 ? request.n_computed : random(request.n_computed) + 1;
    if (!cache_.publish(request.seq_id, TokenSpan(request.tokens).first(n_tokens))) return;
    CHECK(cache_.n_forked(request.seq_id) >= n_tokens);
  }

  void end() {
    if (running_.empty()) return;
    const int i = random(static_cast<int>(running_.size()));
    const Running& request = running_[i];
    if (random(4) == 0) {
      cache_.drop(request.seq_id);
    } else {
      cache_.release(request.seq_id, TokenSpan(request.tokens).first(request.n_computed));
    }
    running_.erase(running_.begin() + i);
  }

  void check() {
    REQUIRE(cache_.check() == "");
    REQUIRE(memory_.n_cells() == cache_.n_used_cells());
    REQUIRE(cache_.n_used_cells() <= kCells);
    for (const Running& request : running_) {
      REQUIRE(memory_.holds(request.seq_id, TokenSpan(request.tokens).first(request.n_computed)));
    }
  }

  FakeMemory memory_;
  PrefixCache cache_;
  std::mt19937 rng_;
  std::vector<Running> running_;
};

}  // namespace

TEST_CASE("cells add up and every request has its own tokens after any operations") {
  for (const auto kind : {MemoryKind::kPlain, MemoryKind::kWindow, MemoryKind::kRecurrent}) {
    for (unsigned seed = 0; seed < 40; ++seed) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(seed);
      Stress(kind, seed).run(150);
    }
  }
}
