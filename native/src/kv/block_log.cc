#include "kv/block_log.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "base/sha256.h"

namespace pyserve {

BlockHash hash_block(const std::string& key, BlockHash parent, TokenSpan tokens) {
  Sha256 sha;
  sha.add_number(parent);
  if (parent == 0) sha.add_text(key);
  sha.add({reinterpret_cast<const uint8_t*>(tokens.data()), tokens.size_bytes()});
  const Digest digest = sha.finish();
  BlockHash hash = 0;
  std::memcpy(&hash, digest.bytes.data(), sizeof(hash));
  return hash == 0 ? 1 : hash;
}

void BlockLog::add(BlockChange change) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kTelling) return;
    n_blocks_ += static_cast<int>(change.hashes.size());
    if (n_blocks_ <= n_blocks_max_) {
      changes_.push_back(std::move(change));
    } else {
      changes_ = {};
      n_blocks_ = 0;
      ++n_losses_;
      state_ = State::kDropped;
    }
  }
  ready_.notify_one();
}

bool BlockLog::wants_all() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::kWantsAll;
}

void BlockLog::begin_again() {
  const std::lock_guard lock(mutex_);
  state_ = State::kTelling;
}

BlockChanges BlockLog::take_all(double timeout_ms) {
  std::unique_lock lock(mutex_);
  ready_.wait_for(lock, std::chrono::duration<double, std::milli>(timeout_ms),
                  [this] { return is_closed_ || !changes_.empty() || state_ == State::kDropped; });
  n_blocks_ = 0;
  if (state_ == State::kDropped) {
    state_ = State::kWantsAll;
    return {false, true, {}};
  }
  return {is_closed_ && changes_.empty(), false, std::exchange(changes_, {})};
}

void BlockLog::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  ready_.notify_all();
}

int64_t BlockLog::n_losses() const {
  const std::lock_guard lock(mutex_);
  return n_losses_;
}

}  // namespace pyserve
