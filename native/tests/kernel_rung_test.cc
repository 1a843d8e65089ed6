#include "base/kernel_rung.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include "base/cpu_features.h"

using namespace pyserve;

namespace {

// The flags of the first CPU in /proc/cpuinfo: what Linux has found and lets programs use.
std::set<std::string> flags_of_linux() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

}  // namespace

TEST_CASE("a CPU that has every feature misses none") {
  constexpr std::string_view kTwo[] = {"avx2", "fma"};
  CHECK(missing_features(kTwo, [](std::string_view) { return true; }).empty());
  CHECK(missing_features({}, [](std::string_view) { return false; }).empty());
}

TEST_CASE("missing features are named in order") {
  constexpr std::string_view kThree[] = {"avx2", "fma", "avx512f"};
  CHECK(missing_features(kThree, [](std::string_view name) { return name == "fma"; }) ==
        "avx2, avx512f");
}

TEST_CASE("features are those that Linux has found") {
  const std::set<std::string> flags = flags_of_linux();
  if (flags.empty()) return;
  // GCC's name, Linux's name.
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"sse4.2", "sse4_2"},
      {"popcnt", "popcnt"},
      {"movbe", "movbe"},
      {"lzcnt", "abm"},
      {"bmi", "bmi1"},
      {"bmi2", "bmi2"},
      {"gfni", "gfni"},
      {"avx", "avx"},
      {"f16c", "f16c"},
      {"fma", "fma"},
      {"avx2", "avx2"},
      {"avxvnni", "avx_vnni"},
      {"avx512f", "avx512f"},
      {"avx512dq", "avx512dq"},
      {"avx512ifma", "avx512ifma"},
      {"avx512cd", "avx512cd"},
      {"avx512bw", "avx512bw"},
      {"avx512vl", "avx512vl"},
      {"avx512vbmi", "avx512vbmi"},
      {"avx512vbmi2", "avx512_vbmi2"},
      {"avx512vnni", "avx512_vnni"},
      {"avx512bitalg", "avx512_bitalg"},
      {"avx512vpopcntdq", "avx512_vpopcntdq"},
      {"avx512vp2intersect", "avx512_vp2intersect"},
      {"avx512fp16", "avx512_fp16"},
      {"avx512bf16", "avx512_bf16"},
      {"amx-tile", "amx_tile"},
      {"amx-int8", "amx_int8"},
      {"amx-bf16", "amx_bf16"}};
  for (const auto& [ours, linux_name] : kNames) {
    INFO(ours);
    CHECK(has_cpu_feature(ours) == flags.contains(linux_name));
  }
  CHECK_FALSE(has_cpu_feature("avx1024"));
}

TEST_CASE("what is granted is shown") {
  for (const CpuFeature& feature : cpu_features()) {
    INFO(feature.name);
    CHECK((feature.is_shown || !feature.is_granted));
  }
}

TEST_CASE("the ladder goes down to stock, each rung needing less") {
  CHECK(kLadder.front() == Rung::kAmx);
  CHECK(kLadder.back() == Rung::kStock);
  CHECK(can_run(Rung::kStock));
  for (size_t i = 0; i + 1 < kLadder.size(); ++i) {
    CHECK(rung_below(kLadder[i]) == kLadder[i + 1]);
    CHECK(features_of(kLadder[i]).size() > features_of(kLadder[i + 1]).size());
    CHECK((can_run(kLadder[i + 1]) || !can_run(kLadder[i])));
  }
}

TEST_CASE("rungs are known by name") {
  for (const Rung rung : kLadder) CHECK(rung_named(name_of(rung)) == rung);
  CHECK_FALSE(rung_named("AVX2").has_value());
  CHECK_FALSE(rung_named("").has_value());
}
