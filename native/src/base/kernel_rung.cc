#include "base/kernel_rung.h"

#include <algorithm>
#include <atomic>
#include <cassert>

#include "base/cpu_features.h"

namespace pyserve {
namespace {

struct Row {
  std::string_view name;
  size_t n_features;  // the first of kFeatures
};

constexpr std::string_view kFeatures[] = {
    "avx2",       "fma",      "f16c",                  // avx2
    "avx512f",    "avx512dq", "avx512bw", "avx512vl",  // avx512bw
    "avx512vnni",                                      // avx512vnni
    "amx-tile",   "amx-int8",                          // amx
};

constexpr std::string_view kArmFeatures[] = {
    "dotprod",  // dotprod
    "i8mm",     // i8mm
};

constexpr Row kRows[] = {{"stock", 0}, {"avx2", 3},    {"avx512bw", 7}, {"avx512vnni", 8},
                         {"amx", 10},  {"dotprod", 1}, {"i8mm", 2}};

const Row& row_of(Rung rung) { return kRows[static_cast<size_t>(rung)]; }

std::atomic<Rung> in_force{Rung::kStock};

}  // namespace

std::string_view name_of(Rung rung) { return row_of(rung).name; }

std::optional<Rung> rung_named(std::string_view name) {
  for (const Rung rung : kLadder) {
    if (name_of(rung) == name) return rung;
  }
  return std::nullopt;
}

std::span<const std::string_view> features_of(Rung rung) {
  return {rung >= Rung::kDotProd ? kArmFeatures : kFeatures, row_of(rung).n_features};
}

bool can_run(Rung rung) { return missing_features(features_of(rung)).empty(); }

Rung rung_below(Rung rung) {
  assert(rung != Rung::kStock);
  return *(std::find(kLadder.begin(), kLadder.end(), rung) + 1);
}

Rung rung_in_force() { return in_force.load(std::memory_order_relaxed); }

void set_rung_in_force(Rung rung) { in_force.store(rung, std::memory_order_relaxed); }

}  // namespace pyserve
