// The prefix tree with many chats that share a system prompt.

#include <numeric>

#include "bench.h"
#include "kv/prefix_tree.h"

namespace pyserve::bench {
namespace {

constexpr int kChats = 64;
constexpr int kSystemTokens = 600;
constexpr int kChatTokens = 1400;

std::vector<Token> chat(int i) {
  std::vector<Token> tokens(kSystemTokens + kChatTokens);
  std::iota(tokens.begin(), tokens.begin() + kSystemTokens, 0);
  std::iota(tokens.begin() + kSystemTokens, tokens.end(), 10000 * (i + 1));
  return tokens;
}

}  // namespace

void bench_tree() {
  print_heading("prefix tree, 64 chats of 2,000 tokens");
  PrefixTree tree(true, [](SeqId) { return 0; });
  std::vector<std::vector<Token>> chats;
  for (int i = 0; i < kChats; ++i) {
    chats.push_back(chat(i));
    tree.insert("tenant", chats.back(), i);
  }
  int next = 0;
  measure(
      "match a known chat", [&] { return tree.match("tenant", chats[next++ % kChats]).n_forked; },
      100);
  const std::vector<Token> stranger = chat(kChats);
  measure(
      "match the system prompt alone", [&] { return tree.match("tenant", stranger).n_forked; },
      100);
  measure(
      "lock and unlock a chat",
      [&] { return tree.unlock(tree.lock("tenant", chats[next++ % kChats])).n_keep; }, 100);
  measure(
      "evict the oldest leaf and insert it again",
      [&] {
        PrefixTree::Node* leaf = tree.oldest_leaf();
        const std::vector<Token> tokens = tree.view(leaf).tokens;
        const SeqId pin = tree.evict(leaf).pin;
        return static_cast<long>(tree.insert("tenant", tokens, pin).size());
      },
      10);
}

}  // namespace pyserve::bench
