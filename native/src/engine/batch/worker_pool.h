// A few threads that share out the items of one short piece of work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pyserve {

// Sampling takes milliseconds where the vocabulary is large, and nothing else runs then.
// Thread: run() is for one.
class WorkerPool {
 public:
  // n_workers: including the thread that calls run(); >= 1.
  explicit WorkerPool(int n_workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int n_workers() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls work(item, worker) once for every item in [0, n_items), with worker in
  // [0, n_workers()); returns when all are done. `work` must not throw.
  void run(int n_items, const std::function<void(int, int)>& work);

 private:
  void serve(int worker);
  void take_items(int worker);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable has_work_;
  std::condition_variable is_done_;
  int64_t n_rounds_ = 0;  // guarded by mutex_, as all up to next_item_
  int n_busy_ = 0;
  bool is_stopping_ = false;
  const std::function<void(int, int)>* work_ = nullptr;
  int n_items_ = 0;
  std::atomic<int> next_item_{0};
};

}  // namespace pyserve
