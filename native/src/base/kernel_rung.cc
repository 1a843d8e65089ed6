#include "base/kernel_rung.h"

#include <algorithm>
#include <atomic>
#include <cassert>

#include "base/cpu_features.h"

namespace pyserve {
namespace {

using Names = std::span<const std::string_view>;

struct Row {
  std::string_view name;
  Names features;
};

// Of the rungs of one line, each of which has the features of those before it.
constexpr std::string_view kFeatures[] = {
    "avx2",       "fma",      "f16c",                  // avx2
    "avx512f",    "avx512dq", "avx512bw", "avx512vl",  // avx512bw
    "avx512vnni",                                      // avx512vnni
    "amx-tile",   "amx-int8",                          // amx
};
// Beside it: CPUs that have AVX-512 may have AVX-VNNI or not.
constexpr std::string_view kAvxVnniFeatures[] = {"avx2", "fma", "f16c", "avxvnni"};

constexpr Names first_features(size_t n) { return Names(kFeatures).first(n); }

// Of ARM, in the same way.
constexpr std::string_view kArmFeatures[] = {"dotprod", "i8mm"};

constexpr Row kRows[] = {{"stock", {}},
                         {"avx2", first_features(3)},
                         {"avxvnni", kAvxVnniFeatures},
                         {"avx512bw", first_features(7)},
                         {"avx512vnni", first_features(8)},
                         {"amx", first_features(10)},
                         {"dotprod", Names(kArmFeatures).first(1)},
                         {"i8mm", kArmFeatures}};

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

std::span<const std::string_view> features_of(Rung rung) { return row_of(rung).features; }

bool can_run(Rung rung) { return missing_features(features_of(rung)).empty(); }

Rung rung_below(Rung rung) {
  assert(rung != Rung::kStock);
  return *(std::find(kLadder.begin(), kLadder.end(), rung) + 1);
}

Rung rung_in_force() { return in_force.load(std::memory_order_relaxed); }

void set_rung_in_force(Rung rung) { in_force.store(rung, std::memory_order_relaxed); }

}  // namespace pyserve
