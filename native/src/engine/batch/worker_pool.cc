#include "engine/batch/worker_pool.h"

namespace pyserve {

WorkerPool::WorkerPool(int n_workers) {
  for (int worker = 1; worker < n_workers; ++worker) {
    threads_.emplace_back([this, worker] { serve(worker); });
  }
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  has_work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::run(int n_items, const std::function<void(int, int)>& work) {
  if (n_items <= 0) return;
  {
    std::lock_guard lock(mutex_);
    work_ = &work;
    n_items_ = n_items;
    next_item_.store(0, std::memory_order_relaxed);
    n_busy_ = static_cast<int>(threads_.size());
    ++n_rounds_;
  }
  has_work_.notify_all();
  take_items(0);
  std::unique_lock lock(mutex_);
  is_done_.wait(lock, [this] { return n_busy_ == 0; });
  work_ = nullptr;
}

void WorkerPool::serve(int worker) {
  int64_t n_served = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      has_work_.wait(lock, [&] { return is_stopping_ || n_rounds_ != n_served; });
      if (is_stopping_) return;
      n_served = n_rounds_;
    }
    take_items(worker);
    std::lock_guard lock(mutex_);
    if (--n_busy_ == 0) is_done_.notify_one();
  }
}

void WorkerPool::take_items(int worker) {
  for (int item = next_item_.fetch_add(1); item < n_items_; item = next_item_.fetch_add(1)) {
    (*work_)(item, worker);
  }
}

}  // namespace pyserve
