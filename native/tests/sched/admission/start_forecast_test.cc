#include "sched/admission/start_forecast.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

using namespace pyserve;

namespace {

// A server in miniature, whose clock is the sum of its steps: every step says one token of every
// answer, or computes up to 256 tokens of the first prompt that is not computed, beside them.
class Server {
 public:
  struct Request {
    int n_prompt, n_answer, n_most;
    int n_said = 0;
    int n_cells = 0;
  };

  Server(int n_slots, int64_t n_cells) : room_{n_slots, static_cast<int>(n_cells)} {}

  void add(int n_prompt, int n_answer, int n_most) {
    waiting_.push_back({n_prompt, n_answer, n_most, 0, n_prompt});
  }
  size_t n_waiting() const { return waiting_.size(); }
  double now_ms() const { return now_ms_; }

  // In how many ms each of those that wait starts, as it is told to them.
  std::vector<double> told() const {
    return forecast_.start_ms(loads(running_), loads(waiting_), room_);
  }

  // Returns how many started.
  int step() {
    int n_started = 0;
    while (!waiting_.empty() && static_cast<int>(running_.size()) < room_.n_slots &&
           waiting_.front().n_cells <= room_.n_cells) {
      room_.n_cells -= waiting_.front().n_cells;
      running_.push_back(waiting_.front());
      waiting_.pop_front();
      ++n_started;
    }
    int n_computed = 0, n_said = 0, n_answering = 0;
    for (Request& request : running_) {
      if (request.n_prompt == 0) {
        ++request.n_said, ++n_said, ++n_answering;
      } else if (n_computed == 0) {
        n_computed = std::min(request.n_prompt, 256);
        request.n_prompt -= n_computed;
      }
    }
    const double step_ms = 5 + 0.5 * n_answering + 0.4 * n_computed;
    now_ms_ += step_ms;
    forecast_.observe_step(step_ms, n_computed, n_said, n_answering);
    std::erase_if(running_, [this](const Request& request) {
      const bool is_cut = request.n_said == request.n_most;
      if (!is_cut && request.n_said < request.n_answer) return false;
      forecast_.observe_end(request.n_said, !is_cut);
      room_.n_cells += request.n_cells;
      return true;
    });
    return n_started;
  }

 private:
  template <class Requests>
  static std::vector<LoadView> loads(const Requests& requests) {
    std::vector<LoadView> loads;
    for (const Request& r : requests) {
      loads.push_back({r.n_prompt, r.n_said, r.n_most - r.n_said, r.n_cells});
    }
    return loads;
  }

  RoomView room_;
  StartForecast forecast_;
  std::vector<Request> running_;
  std::deque<Request> waiting_;
  double now_ms_ = 0;
};

struct Load {
  int n_slots, n_cells, n_queue, n_prompt, n_answer, n_spread, n_most;
};

// What was told once a second, over how long it was, of all waits of a second and more; sorted.
std::vector<double> ratios_of(const Load& load, unsigned seed) {
  std::mt19937 random(seed);
  const auto around = [&](int n) {
    const int n_spread = n * load.n_spread / 100;
    return n - n_spread + static_cast<int>(random() % (2 * n_spread + 1));
  };
  struct Told {
    int64_t number;
    double at_ms, eta_ms;
  };
  Server server(load.n_slots, load.n_cells);
  std::vector<Told> told;
  std::vector<double> ratios;
  int64_t n_started = 0;
  double told_at_ms = 0;
  while (server.now_ms() < 300'000) {
    // As many clients wait as ever: who is answered comes again.
    while (static_cast<int>(server.n_waiting()) < load.n_queue) {
      server.add(around(load.n_prompt), around(load.n_answer), load.n_most);
    }
    const double now_ms = server.now_ms();
    for (int n = server.step(); n > 0; --n, ++n_started) {
      for (const Told& one : told) {
        const double waited_ms = now_ms - one.at_ms;
        if (one.number == n_started && waited_ms >= 1000) ratios.push_back(one.eta_ms / waited_ms);
      }
      std::erase_if(told, [&](const Told& one) { return one.number == n_started; });
    }
    // Once the lengths of a few answers are known.
    if (server.now_ms() < 30'000 || server.now_ms() - told_at_ms < 1000) continue;
    told_at_ms = server.now_ms();
    int64_t number = n_started;
    for (const double eta_ms : server.told()) told.push_back({number++, told_at_ms, eta_ms});
  }
  std::ranges::sort(ratios);
  return ratios;
}

}  // namespace

TEST_CASE("on a steady load the time that is told is within a factor of two") {
  const Load loads[] = {
      {8, 1 << 30, 12, 200, 100, 0, 100},    // all alike, cut off by their limit: waves
      {8, 1 << 30, 12, 200, 100, 50, 4096},  // by themselves, without a limit
      {1, 1 << 30, 5, 50, 60, 60, 4096},     // one at a time
      {16, 1 << 30, 40, 600, 80, 80, 200},   // long prompts
      {16, 4000, 20, 600, 100, 30, 300},     // cells are scarce before slots are
      {4, 1 << 30, 10, 30, 300, 90, 4096},   // anything between 30 and 570 tokens
  };
  for (const Load& load : loads) {
    for (unsigned seed = 1; seed <= 3; ++seed) {
      CAPTURE(load.n_slots);
      CAPTURE(load.n_answer);
      const std::vector<double> ratios = ratios_of(load, seed);
      REQUIRE(ratios.size() > 200);
      const auto share = [&](double p) { return ratios[static_cast<size_t>(p * ratios.size())]; };
      CHECK(share(0.05) >= 0.5);
      CHECK(share(0.95) <= 2.0);
      CHECK(share(0.5) == doctest::Approx(1).epsilon(0.25));
    }
  }
}

TEST_CASE("nothing is told before speeds and lengths are known") {
  StartForecast forecast;
  const std::vector<LoadView> one = {{10, 0, 50, 0}};
  const auto told = [&] { return forecast.start_ms(one, one, {1, 100}); };
  forecast.observe_step(100, 50, 0, 0);
  CHECK(told().empty());
  for (int i = 0; i < 17; ++i) forecast.observe_step(20, 0, 2, 2);
  CHECK(told().empty());
  forecast.observe_end(30, true);
  CHECK(told().at(0) == doctest::Approx(10 * 2 + 30 * 20));
  CHECK(forecast.start_ms({}, one, {1, 100}).at(0) == 0);
  CHECK(forecast.start_ms(one, one, {2, 100}).empty());
  forecast.observe_end(30, true);
  CHECK(forecast.start_ms(one, one, {2, 100}).at(0) == 0);
}

TEST_CASE("where cells are scarce, those of the first to end are waited for") {
  StartForecast forecast;
  forecast.observe_step(100, 100, 0, 0);
  for (int i = 0; i < 40; ++i) forecast.observe_step(10, 0, 1, 1);
  for (int i = 0; i < 4; ++i) forecast.observe_end(50, true);
  const std::vector<LoadView> running = {{0, 10, 90, 300}, {0, 30, 70, 300}};
  const std::vector<LoadView> waiting = {{0, 0, 100, 250}, {0, 0, 100, 250}};
  const std::vector<double> starts = forecast.start_ms(running, waiting, {8, 100});
  CHECK(starts.at(0) == doctest::Approx(200));
  CHECK(starts.at(1) == doctest::Approx(400));
}
