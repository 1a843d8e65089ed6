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

#ifdef __aarch64__
constexpr const char* kFlags = "Features";
#else
constexpr const char* kFlags = "flags";
#endif

// The flags of the first CPU in /proc/cpuinfo: what Linux has found and lets programs use.
std::set<std::string> flags_of_linux() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kFlags)) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

bool granted_here(std::string_view name) {
  const std::string_view one[] = {name};
  return missing_features(one).empty();
}

}  // namespace

TEST_CASE("tiles are not granted where the processor has none") {
  if (!can_run(Rung::kAmx)) CHECK_FALSE(request_tiles());
}

TEST_CASE("missing features are named in order, and why they are missing") {
  constexpr std::string_view kRequired[] = {"avx2", "fma", "avx512f"};
  const std::vector<CpuFeature> all{
      {"fma", true, true}, {"avx2", true, true}, {"avx512f", true, true}};
  CHECK(missing_features(kRequired, all) == "");
  CHECK(why_not(kRequired, all) == "");
  CHECK(missing_features({}, {}) == "");
  const std::vector<CpuFeature> few{{"fma", true, true}, {"avx512f", true, false}};
  CHECK(missing_features(kRequired, few) == "avx2, avx512f");
  CHECK(why_not(kRequired, few) == "the CPU has no avx2");
  const std::vector<CpuFeature> denied{
      {"fma", true, true}, {"avx2", true, true}, {"avx512f", true, false}};
  CHECK(why_not(kRequired, denied) == "the system does not grant avx512f");
}

TEST_CASE("a feature is granted where the system keeps its registers") {
  // A CPU that shows everything, in all sub-leaves.
  CpuAnswers answers{[](uint32_t, uint32_t) { return CpuidOutput{{~0U, ~0U, ~0U, ~0U}}; }, 0, true};
  const auto granted = [&](std::string_view name) {
    const std::string_view one[] = {name};
    return why_not(one, read_cpu_features(answers)).empty();
  };
  CHECK(granted("popcnt"));
  CHECK_FALSE(granted("avx2"));
  answers.kept_registers = 0x7;  // x87, SSE, AVX
  CHECK(granted("avx2"));
  CHECK(granted("avxvnni"));
  CHECK_FALSE(granted("avx512f"));
  answers.kept_registers = 0xE7;  // masks and wide registers
  CHECK(granted("avx512f"));
  CHECK_FALSE(granted("amx-tile"));
  answers.kept_registers = 0x600E7;  // tiles
  CHECK(granted("amx-tile"));
  answers.hands_out_tiles = false;
  CHECK_FALSE(granted("amx-tile"));
  CHECK(granted("avx512f"));
}

TEST_CASE("leaves and sub-leaves that a CPU does not have show nothing") {
  const CpuAnswers nothing{[](uint32_t, uint32_t) { return CpuidOutput{}; }, ~0UL, true};
  for (const CpuFeature& feature : read_cpu_features(nothing)) CHECK_FALSE(feature.is_shown);
  // The last sub-leaf of leaf 7 is 0; what is said of the next one means nothing.
  const CpuAnswers short_leaf{[](uint32_t, uint32_t subleaf) {
                                return CpuidOutput{{subleaf == 0 ? 0 : ~0U, ~0U, ~0U, ~0U}};
                              },
                              ~0UL, true};
  for (const CpuFeature& feature : read_cpu_features(short_leaf)) {
    INFO(feature.name);
    CHECK(feature.is_shown == !(feature.name.starts_with("avx512bf16") ||
                                feature.name.starts_with("avxvnni") || feature.name == "avxifma" ||
                                feature.name == "avxneconvert"));
  }
}

TEST_CASE("what Linux says of an ARM CPU is both shown and granted") {
  const std::string_view needed[] = {"dotprod", "i8mm"};
  CHECK(why_not(needed, read_arm_features({})) == "the CPU has no dotprod, i8mm");
  CHECK(why_not(needed, read_arm_features({1U << 20, 0})) == "the CPU has no i8mm");
  CHECK(why_not(needed, read_arm_features({1U << 20, 1U << 13})) == "");
}

#ifdef __aarch64__
TEST_CASE("features are those that Linux has found") {
  const std::set<std::string> flags = flags_of_linux();
  if (flags.empty()) return;
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"crc", "crc32"},       {"lse", "atomics"}, {"fp16", "asimdhp"},     {"rdma", "asimdrdm"},
      {"dotprod", "asimddp"}, {"rcpc", "lrcpc"},  {"fp16fml", "asimdfhm"}, {"sve", "sve"},
      {"sve2", "sve2"},       {"i8mm", "i8mm"},   {"bf16", "bf16"},        {"sme", "sme"}};
  for (const auto& [ours, linux_name] : kNames) {
    INFO(ours);
    CHECK(granted_here(ours) == flags.contains(linux_name));
  }
}
#else
TEST_CASE("features are those that Linux has found") {
  const std::set<std::string> flags = flags_of_linux();
  if (flags.empty()) return;
  // GCC's name, Linux's name; what old kernels do not know is to be found where it is listed.
  constexpr std::pair<const char*, const char*> kOld[] = {
      {"sse4.2", "sse4_2"},     {"popcnt", "popcnt"},     {"movbe", "movbe"},
      {"lzcnt", "abm"},         {"bmi", "bmi1"},          {"bmi2", "bmi2"},
      {"avx", "avx"},           {"f16c", "f16c"},         {"fma", "fma"},
      {"avx2", "avx2"},         {"avx512f", "avx512f"},   {"avx512dq", "avx512dq"},
      {"avx512cd", "avx512cd"}, {"avx512bw", "avx512bw"}, {"avx512vl", "avx512vl"}};
  constexpr std::pair<const char*, const char*> kNew[] = {
      {"gfni", "gfni"},
      {"avxvnni", "avx_vnni"},
      {"avx512ifma", "avx512ifma"},
      {"avx512vbmi", "avx512vbmi"},
      {"avx512vbmi2", "avx512_vbmi2"},
      {"avx512vnni", "avx512_vnni"},
      {"avx512bitalg", "avx512_bitalg"},
      {"avx512vpopcntdq", "avx512_vpopcntdq"},
      {"avx512vp2intersect", "avx512_vp2intersect"},
      {"avx512fp16", "avx512_fp16"},
      {"avx512bf16", "avx512_bf16"}};
  for (const auto& [ours, linux_name] : kOld) {
    INFO(ours);
    CHECK(granted_here(ours) == flags.contains(linux_name));
  }
  for (const auto& [ours, linux_name] : kNew) {
    INFO(ours);
    CHECK((granted_here(ours) || !flags.contains(linux_name)));
  }
  CHECK_FALSE(granted_here("avx1024"));
}
#endif

TEST_CASE("what is granted is shown") {
  for (const CpuFeature& feature : cpu_features()) {
    INFO(feature.name);
    CHECK((feature.is_shown || !feature.is_granted));
  }
}

TEST_CASE("the ladder goes down to stock, each rung needing less") {
#ifdef __aarch64__
  CHECK(kLadder.front() == Rung::kI8mm);
#else
  CHECK(kLadder.front() == Rung::kAmx);
#endif
  CHECK(kLadder.back() == Rung::kStock);
  CHECK(can_run(Rung::kStock));
  for (size_t i = 0; i + 1 < kLadder.size(); ++i) {
    CHECK(rung_below(kLadder[i]) == kLadder[i + 1]);
    CHECK(features_of(kLadder[i]).size() > features_of(kLadder[i + 1]).size());
    // AVX-VNNI is not part of AVX-512.
    if (kLadder[i + 1] == Rung::kAvxVnni) continue;
    CHECK((can_run(kLadder[i + 1]) || !can_run(kLadder[i])));
  }
}

TEST_CASE("rungs are known by name") {
  for (const Rung rung : kLadder) CHECK(rung_named(name_of(rung)) == rung);
  CHECK_FALSE(rung_named("AVX2").has_value());
  CHECK_FALSE(rung_named("").has_value());
}
