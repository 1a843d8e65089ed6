#include "kv/prefix_tree.h"

#include <doctest/doctest.h>

#include <map>

using namespace pyserve;

namespace {

using Tokens = std::vector<Token>;

PrefixTree plain_tree() {
  return PrefixTree(true, [](SeqId) { return 0; });
}

}  // namespace

TEST_CASE("common_prefix counts equal leading tokens") {
  CHECK(common_prefix(Tokens{1, 2, 3}, Tokens{1, 2, 4}) == 2);
  CHECK(common_prefix(Tokens{1, 2}, Tokens{1, 2, 3}) == 2);
  CHECK(common_prefix(Tokens{}, Tokens{1}) == 0);
}

TEST_CASE("a prefix of a run can be forked from the pin below it") {
  PrefixTree tree = plain_tree();
  CHECK(tree.insert("", Tokens{1, 2, 3, 4}, 7).empty());
  const auto match = tree.match("", Tokens{1, 2, 9});
  CHECK(match.n_forked == 2);
  CHECK(match.source == 7);
  CHECK(match.n_unlocked == 2);
  CHECK(tree.match("", Tokens{9}).source == -1);
  CHECK(tree.check() == "");
}

TEST_CASE("two tails of one prefix are both kept, and the prefix once") {
  PrefixTree tree = plain_tree();
  tree.insert("", Tokens{1, 2, 3}, 7);
  CHECK(tree.insert("", Tokens{1, 2, 4, 5}, 8).empty());
  CHECK(tree.n_cells() == 5);
  CHECK(tree.n_pins() == 2);
  CHECK(tree.match("", Tokens{1, 2, 3}).source == 7);
  CHECK(tree.match("", Tokens{1, 2, 4}).source == 8);
  CHECK(tree.check() == "");
}

TEST_CASE("keys do not share") {
  PrefixTree tree = plain_tree();
  tree.insert("alice", Tokens{1, 2}, 7);
  CHECK(tree.match("bob", Tokens{1, 2}).n_shared == 0);
  CHECK(tree.match("alice", Tokens{1, 2}).n_forked == 2);
}

TEST_CASE("a longer prefix takes over from a shorter one") {
  PrefixTree tree = plain_tree();
  tree.insert("", Tokens{1, 2}, 7);
  CHECK(tree.insert("", Tokens{1, 2, 3}, 8) == std::vector<SeqId>{7});
  CHECK(tree.n_cells() == 3);
  CHECK(tree.check() == "");
}

TEST_CASE("where prefixes cannot be cut, each end keeps its own pin") {
  const std::map<SeqId, int> ends{{7, 2}, {8, 4}};
  PrefixTree tree(false, [&](SeqId pin) { return ends.at(pin); });
  tree.insert("", Tokens{1, 2}, 7);
  CHECK(tree.insert("", Tokens{1, 2, 3, 4}, 8).empty());
  CHECK(tree.match("", Tokens{1, 2, 3}).n_forked == 2);
  CHECK(tree.match("", Tokens{1, 2, 3}).n_shared == 3);
  CHECK(tree.match("", Tokens{1, 2, 3}).source == 7);
  CHECK(tree.match("", Tokens{1, 2, 3, 4}).source == 8);
  CHECK(tree.check() == "");
}

TEST_CASE("eviction starts with the leaf that was used longest ago") {
  PrefixTree tree = plain_tree();
  tree.insert("", Tokens{1, 2, 3}, 7);
  tree.insert("", Tokens{1, 2, 4}, 8);
  tree.unlock(tree.lock("", Tokens{1, 2, 3}));
  const auto evicted = tree.evict(tree.oldest_leaf());
  CHECK(evicted.pin == 8);
  CHECK(evicted.n_keep == 0);
  CHECK(tree.match("", Tokens{1, 2, 4}).source == 7);
  CHECK(tree.match("", Tokens{1, 2, 4}).n_forked == 2);
  CHECK(tree.check() == "");
}

TEST_CASE("a locked prefix stays when its tail is evicted") {
  PrefixTree tree = plain_tree();
  tree.insert("", Tokens{1, 2, 3, 4}, 7);
  PrefixTree::Node* node = tree.lock("", Tokens{1, 2});
  CHECK(tree.n_locked_cells() == 2);
  CHECK(tree.match("", Tokens{1, 2, 3}).n_unlocked == 1);
  const auto evicted = tree.evict(tree.oldest_leaf());
  CHECK(evicted.pin == 7);
  CHECK(evicted.n_keep == 2);
  CHECK(tree.oldest_leaf() == nullptr);
  CHECK(tree.check() == "");
  tree.unlock(node);
  CHECK(tree.n_locked_cells() == 0);
  CHECK(tree.evict(tree.oldest_leaf()).n_keep == 0);
  CHECK(tree.n_cells() == 0);
  CHECK(tree.check() == "");
}

TEST_CASE("cells that only a lock keeps cannot be forked and go with it") {
  int fork_from = 0;
  PrefixTree tree(false, [&](SeqId) { return fork_from; });
  tree.insert("", Tokens{1, 2, 3, 4}, 7);
  PrefixTree::Node* node = tree.lock("", Tokens{1, 2});
  fork_from = 4;  // the window has moved on
  CHECK(tree.evict(tree.oldest_leaf()).n_keep == 2);
  CHECK(tree.match("", Tokens{1, 2}).n_shared == 2);
  CHECK(tree.match("", Tokens{1, 2}).cover == 7);
  CHECK(tree.match("", Tokens{1, 2}).source == -1);
  CHECK(tree.check() == "");
  const auto gone = tree.unlock(node);
  CHECK(gone.pin == 7);
  CHECK(gone.n_keep == 0);
  CHECK(tree.n_cells() == 0);
  CHECK(tree.check() == "");
}

TEST_CASE("a node that no longer branches becomes part of its child") {
  PrefixTree tree = plain_tree();
  tree.insert("", Tokens{1, 2, 3}, 7);
  tree.insert("", Tokens{1, 2, 4}, 8);
  tree.evict(tree.oldest_leaf());
  CHECK(tree.view(tree.oldest_leaf()).n_run == 3);
  CHECK(tree.view(tree.oldest_leaf()).tokens == Tokens{1, 2, 4});
}
