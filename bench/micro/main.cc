// pyserve_bench_micro [sampler|policy|tree|text|mul_mat|attention|geglu|recurrence ...]: all of
// them without arguments.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "bench.h"
#include "ladder/use_kernels.h"

namespace pyserve::bench {
namespace {

using Clock = std::chrono::steady_clock;

volatile long sink = 0;

double time_us(const Operation& operation, int n_inner = 1) {
  const auto begin = Clock::now();
  for (int i = 0; i < n_inner; ++i) sink = sink + operation();
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count() / n_inner;
}

double median(std::vector<double>& values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// The processor's time of this thread, whatever else runs on the machine.
double processor_time_us(const Operation& operation) {
  const auto now_us = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
  };
  const double begin = now_us();
  sink = sink + operation();
  return now_us() - begin;
}

struct Times {
  std::vector<double> ours;
  std::vector<double> theirs;
};

using Clocked = double (*)(const Operation&);

Times in_turns(const Operation& ours, const Operation& theirs, int n_rounds, Clocked clocked) {
  Times times;
  for (int i = -3; i < n_rounds; ++i) {
    const double us = clocked(ours);
    const double their_us = clocked(theirs);
    if (i < 0) continue;  // the first ones fill caches
    times.ours.push_back(us);
    times.theirs.push_back(their_us);
  }
  return times;
}

void print_row(const std::string& name, double us, double their_us) {
  std::printf("%-44s %10.1f %10.1f %8.2f\n", name.c_str(), us, their_us, their_us / us);
}

}  // namespace

void print_heading(const std::string& what, const std::string& other) {
  if (other.empty()) {
    std::printf("\n%-44s %10s\n", what.c_str(), "us");
  } else {
    std::printf("\n%-44s %10s %10s %8s\n", what.c_str(), "us", other.c_str(), "ratio");
  }
}

void measure(const std::string& name, const Operation& ours, int n_inner, int n_rounds) {
  std::vector<double> times;
  for (int i = -3; i < n_rounds; ++i) {
    const double us = time_us(ours, n_inner);
    if (i >= 0) times.push_back(us);  // the first ones fill caches
  }
  std::printf("%-44s %10.2f\n", name.c_str(), median(times));
}

void compare(const std::string& name, const Operation& ours, const Operation& theirs,
             int n_rounds) {
  Times times = in_turns(ours, theirs, n_rounds, [](const Operation& o) { return time_us(o); });
  print_row(name, median(times.ours), median(times.theirs));
}

void compare_best(const std::string& name, const Operation& ours, const Operation& theirs,
                  int n_rounds) {
  const Times times = in_turns(ours, theirs, n_rounds, processor_time_us);
  print_row(name, *std::min_element(times.ours.begin(), times.ours.end()),
            *std::min_element(times.theirs.begin(), times.theirs.end()));
}

}  // namespace pyserve::bench

int main(int argc, char** argv) {
  using namespace pyserve::bench;
  const std::vector<std::pair<std::string_view, void (*)()>> parts{
      {"sampler", bench_sampler}, {"policy", bench_policy},        {"tree", bench_tree},
      {"text", bench_text},       {"mul_mat", bench_mul_mat},      {"attention", bench_attention},
      {"geglu", bench_geglu},     {"recurrence", bench_recurrence}};
  pyserve::use_kernels();
  const std::vector<std::string_view> wanted(argv + 1, argv + argc);
  for (const auto& [name, run] : parts) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end()) run();
  }
  return 0;
}
