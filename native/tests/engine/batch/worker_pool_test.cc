#include "engine/batch/worker_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

namespace pyserve {
namespace {

TEST_CASE("every item is done once, by a worker that exists, round after round") {
  for (const int n_workers : {1, 2, 5}) {
    WorkerPool pool(n_workers);
    CHECK(pool.n_workers() == n_workers);
    for (int n_items = 0; n_items < 40; ++n_items) {
      std::vector<std::atomic<int>> n_done(n_items);
      std::atomic<int> n_bad{0};
      pool.run(n_items, [&](int item, int worker) {
        ++n_done[item];
        if (worker < 0 || worker >= n_workers) ++n_bad;
      });
      CHECK(n_bad == 0);
      for (const std::atomic<int>& n : n_done) CHECK(n == 1);
    }
  }
}

TEST_CASE("no two items run on the same worker at once") {
  WorkerPool pool(4);
  std::vector<std::atomic<int>> n_inside(4);
  std::atomic<int> n_clashes{0};
  pool.run(2000, [&](int, int worker) {
    if (++n_inside[worker] != 1) ++n_clashes;
    --n_inside[worker];
  });
  CHECK(n_clashes == 0);
}

}  // namespace
}  // namespace pyserve
