// A queue from many producers to one consumer that takes everything at once.
#pragma once

#include <condition_variable>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// Thread: any thread may push and close; take_all() is for one consumer.
template <typename T>
class Queue {
 public:
  // Returns false, and drops the item, after close().
  bool push(T item) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      items_.push_back(std::move(item));
    }
    ready_.notify_one();
    return true;
  }

  // One wake-up for all of `items`.
  bool push_all(std::vector<T> items) {
    if (items.empty()) return true;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      items_.insert(items_.end(), std::make_move_iterator(items.begin()),
                    std::make_move_iterator(items.end()));
    }
    ready_.notify_one();
    return true;
  }

  // Everything pushed so far; waits up to `timeout_ms` for the first item, < 0 waits for ever.
  std::vector<T> take_all(double timeout_ms) {
    std::unique_lock lock(mutex_);
    const auto something = [this] { return closed_ || !items_.empty(); };
    if (timeout_ms < 0) {
      ready_.wait(lock, something);
    } else if (timeout_ms > 0) {  // a wait that is over at once sleeps all the same, 60 us
      ready_.wait_for(lock, std::chrono::duration<double, std::milli>(timeout_ms), something);
    }
    return std::exchange(items_, {});
  }

  // Wakes the consumer; what is inside can still be taken.
  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

  bool is_closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> items_;
  bool closed_ = false;
};

}  // namespace pyserve
