#include "kv/block_log.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>

#include "kv/prefix_tree.h"

using namespace pyserve;

namespace {

using Tokens = std::vector<Token>;

Tokens run_of(int n_tokens, Token token) { return Tokens(n_tokens, token); }

// Knows what a balancer would: the blocks that it was told of and that are not gone.
class Follower {
 public:
  // False when the log is closed, and all of it was taken.
  bool take(BlockLog& log, double timeout_ms = 0) {
    const BlockChanges told = log.take_all(timeout_ms);
    if (told.is_reset) known_.clear();
    for (const BlockChange& change : told.changes) {
      if (change.is_stored) {
        learn(change);
      } else {
        for (const BlockHash hash : change.hashes) CHECK(known_.erase(hash) == 1);
      }
    }
    return !told.is_over;
  }

  // Leading blocks of `tokens` that it knows.
  int n_known(const std::string& key, TokenSpan tokens) const {
    int n = 0;
    BlockHash parent = 0;
    for (; tokens.size() >= kBlockTokens; tokens = tokens.subspan(kBlockTokens), ++n) {
      parent = hash_block(key, parent, tokens.first(kBlockTokens));
      if (!known_.contains(parent)) break;
    }
    return n;
  }

  size_t n_blocks() const { return known_.size(); }

 private:
  void learn(const BlockChange& change) {
    REQUIRE(change.tokens.size() == change.hashes.size() * kBlockTokens);
    CHECK((change.parent == 0 || known_.contains(change.parent)));
    BlockHash parent = change.parent;
    TokenSpan tokens = change.tokens;
    for (const BlockHash hash : change.hashes) {
      parent = hash_block(change.key, parent, tokens.first(kBlockTokens));
      tokens = tokens.subspan(kBlockTokens);
      CHECK(hash == parent);
      CHECK(known_.insert(hash).second);
    }
  }

  std::set<BlockHash> known_;
};

}  // namespace

TEST_CASE("whole blocks are told, with the tokens that a cut put into the node before") {
  BlockLog log(100);
  PrefixTree tree(true, [](SeqId) { return 0; });
  tree.tell(&log);
  Tokens one = run_of(150, 1);
  tree.insert("", one, 7);
  Tokens two(one.begin(), one.begin() + 100);
  two.insert(two.end(), 100, 2);
  tree.insert("", two, 8);
  tree.insert("bob", one, 9);
  tree.insert("", run_of(63, 3), 10);
  const auto told = log.take_all(0).changes;
  REQUIRE(told.size() == 3);
  CHECK(told[0].hashes.size() == 2);
  CHECK(told[1].hashes.size() == 2);
  CHECK(told[1].parent == told[0].hashes[0]);
  CHECK(told[1].tokens == Tokens(two.begin() + 64, two.begin() + 192));
  CHECK(told[2].key == "bob");
  CHECK(told[2].hashes[0] != told[0].hashes[0]);
  tree.evict(tree.oldest_leaf());
  const auto gone = log.take_all(0).changes;
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].hashes == std::vector<BlockHash>{told[0].hashes[1]});
  CHECK(tree.check() == "");
}

TEST_CASE("a log that nobody takes says so once, and then everything again") {
  BlockLog log(4);
  PrefixTree tree(true, [](SeqId) { return 0; });
  tree.tell(&log);
  for (SeqId pin = 0; pin < 6; ++pin) tree.insert("", run_of(64, pin), pin);
  CHECK(log.n_losses() == 1);
  const BlockChanges told = log.take_all(0);
  CHECK(told.is_reset);
  CHECK(told.changes.empty());
  for (int i = 0; i < 3; ++i) tree.evict(tree.oldest_leaf());
  CHECK(log.take_all(0).changes.empty());
  tree.insert("", run_of(64, 9), 9);
  CHECK(log.take_all(0).changes.size() == 4);
  CHECK(log.n_losses() == 1);
}

TEST_CASE("whoever follows the log knows the blocks of the tree, after any operations") {
  for (unsigned seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    std::mt19937 rng(seed);
    const auto random = [&rng](int n) { return static_cast<int>(rng() % n); };
    BlockLog log(seed % 3 == 0 ? 12 : 10'000);
    PrefixTree tree(true, [](SeqId) { return 0; });
    tree.tell(&log);
    Follower follower;
    std::vector<std::pair<std::string, Tokens>> seen;
    std::vector<PrefixTree::Node*> locks;
    for (int i = 0; i < 200; ++i) {
      std::string key = random(4) == 0 ? "other" : "";
      Tokens tokens;
      for (int n = random(3) + 1; n > 0; --n)
        tokens.insert(tokens.end(), random(150) + 1, random(2));
      if (random(3) > 0) {
        const bool is_new = tree.match(key, tokens).n_shared < static_cast<int>(tokens.size());
        if (is_new) tree.insert(key, tokens, i);
        const size_t n_locked = std::min<size_t>(tokens.size(), random(10) + 1);
        if (random(4) == 0) locks.push_back(tree.lock(key, TokenSpan(tokens).first(n_locked)));
        seen.emplace_back(std::move(key), std::move(tokens));
      } else if (!locks.empty() && random(2) == 0) {
        tree.unlock(locks.back());
        locks.pop_back();
      } else if (auto* leaf = tree.oldest_leaf(); leaf != nullptr) {
        tree.evict(leaf);
      }
      REQUIRE(tree.check() == "");
      if (random(4) > 0) continue;
      follower.take(log);
      if (log.wants_all()) continue;
      for (const auto& [its_key, its_tokens] : seen) {
        const int n_shared = tree.match(its_key, its_tokens).n_shared;
        CHECK(follower.n_known(its_key, its_tokens) == n_shared / kBlockTokens);
      }
    }
    for (PrefixTree::Node* lock : locks) tree.unlock(lock);
    while (auto* leaf = tree.oldest_leaf()) tree.evict(leaf);
    follower.take(log);
    CHECK(follower.n_blocks() == 0);
  }
}

TEST_CASE("whoever follows the log from another thread ends with what is kept") {
  for (unsigned seed = 0; seed < 10; ++seed) {
    CAPTURE(seed);
    BlockLog log(seed % 2 == 0 ? 6 : 10'000);
    Follower follower;
    std::thread thread([&] {
      while (follower.take(log, 1000)) std::this_thread::yield();
    });
    PrefixTree tree(true, [](SeqId) { return 0; });
    tree.tell(&log);
    std::mt19937 rng(seed);
    for (SeqId pin = 0; pin < 500; ++pin) {
      Tokens tokens = run_of(64 + static_cast<int>(rng() % 200), static_cast<Token>(rng() % 3));
      tokens.push_back(1000 + pin);
      tree.insert("", tokens, pin);
      if (rng() % 3 == 0) tree.evict(tree.oldest_leaf());
      if (rng() % 50 == 0) std::this_thread::yield();
    }
    while (auto* leaf = tree.oldest_leaf()) tree.evict(leaf);
    log.close();
    thread.join();
    CHECK(follower.n_blocks() == 0);
  }
}
