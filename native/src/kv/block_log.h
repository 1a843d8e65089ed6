// What a prefix tree tells others of the blocks that it keeps.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// Prefixes are told in whole blocks of so many tokens.
inline constexpr int kBlockTokens = 64;

// Identifies a block and everything before it, under its key; never 0.
using BlockHash = uint64_t;

// REQUIRES: tokens.size() == kBlockTokens. The key counts where there is no parent (0).
BlockHash hash_block(const std::string& key, BlockHash parent, TokenSpan tokens);

// Blocks that follow each other came into the tree, or left it.
struct BlockChange {
  bool is_stored = false;
  std::string key;
  BlockHash parent = 0;  // the block before the first of them; 0 = none
  std::vector<BlockHash> hashes;
  std::vector<Token> tokens;  // of all these blocks; of those that left: none
};

struct BlockChanges {
  bool is_over = false;   // the log is closed, and all of it has been taken
  bool is_reset = false;  // whatever was told before is void
  std::vector<BlockChange> changes;
};

// Bounded: when nobody takes what was told, it is dropped, and all is told again later.
// Thread: add() and begin_again() are for the engine thread, take_all() for one consumer, the rest
// for any. Nobody waits for the consumer.
class BlockLog {
 public:
  explicit BlockLog(int n_blocks_max) : n_blocks_max_(n_blocks_max) {}

  void add(BlockChange change);
  // What was told was dropped, and the consumer knows; the next to tell is everything.
  bool wants_all() const;
  // Everything is told now, by add().
  void begin_again();

  // Everything told so far; waits up to `timeout_ms` for it.
  BlockChanges take_all(double timeout_ms);
  // Wakes the consumer, which need not wait any more.
  void close();

  // How often what was told was dropped.
  int64_t n_losses() const;

 private:
  enum class State { kTelling, kDropped, kWantsAll };

  const int n_blocks_max_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  State state_ = State::kTelling;
  std::vector<BlockChange> changes_;
  int n_blocks_ = 0;  // in them
  int64_t n_losses_ = 0;
  bool is_closed_ = false;
};

}  // namespace pyserve
