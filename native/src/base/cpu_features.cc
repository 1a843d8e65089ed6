#include "base/cpu_features.h"

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define PYSERVE_ASK_CPU
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace pyserve {
namespace {

enum class Registers : uint8_t { kGeneral, kAvx, kAvx512, kTiles };

enum Output : uint8_t { kEax, kEbx, kEcx, kEdx };

// Where `cpuid` shows a feature.
struct Place {
  std::string_view name;
  uint32_t leaf;
  uint32_t subleaf;
  Output output;
  int bit;
  Registers registers;
};

// Source: Intel, Software Developer's Manual, volume 2, CPUID; for lzcnt AMD's volume 3.
constexpr Place kPlaces[] = {
    {"sse4.2", 1, 0, kEcx, 20, Registers::kGeneral},
    {"popcnt", 1, 0, kEcx, 23, Registers::kGeneral},
    {"movbe", 1, 0, kEcx, 22, Registers::kGeneral},
    {"lzcnt", 0x80000001, 0, kEcx, 5, Registers::kGeneral},
    {"bmi", 7, 0, kEbx, 3, Registers::kGeneral},
    {"bmi2", 7, 0, kEbx, 8, Registers::kGeneral},
    {"gfni", 7, 0, kEcx, 8, Registers::kGeneral},
    {"avx", 1, 0, kEcx, 28, Registers::kAvx},
    {"f16c", 1, 0, kEcx, 29, Registers::kAvx},
    {"fma", 1, 0, kEcx, 12, Registers::kAvx},
    {"avx2", 7, 0, kEbx, 5, Registers::kAvx},
    {"avxvnni", 7, 1, kEax, 4, Registers::kAvx},
    {"avxifma", 7, 1, kEax, 23, Registers::kAvx},
    {"avxvnniint8", 7, 1, kEdx, 4, Registers::kAvx},
    {"avxneconvert", 7, 1, kEdx, 5, Registers::kAvx},
    {"avxvnniint16", 7, 1, kEdx, 10, Registers::kAvx},
    {"avx512f", 7, 0, kEbx, 16, Registers::kAvx512},
    {"avx512dq", 7, 0, kEbx, 17, Registers::kAvx512},
    {"avx512ifma", 7, 0, kEbx, 21, Registers::kAvx512},
    {"avx512cd", 7, 0, kEbx, 28, Registers::kAvx512},
    {"avx512bw", 7, 0, kEbx, 30, Registers::kAvx512},
    {"avx512vl", 7, 0, kEbx, 31, Registers::kAvx512},
    {"avx512vbmi", 7, 0, kEcx, 1, Registers::kAvx512},
    {"avx512vbmi2", 7, 0, kEcx, 6, Registers::kAvx512},
    {"avx512vnni", 7, 0, kEcx, 11, Registers::kAvx512},
    {"avx512bitalg", 7, 0, kEcx, 12, Registers::kAvx512},
    {"avx512vpopcntdq", 7, 0, kEcx, 14, Registers::kAvx512},
    {"avx512vp2intersect", 7, 0, kEdx, 8, Registers::kAvx512},
    {"avx512fp16", 7, 0, kEdx, 23, Registers::kAvx512},
    {"avx512bf16", 7, 1, kEax, 5, Registers::kAvx512},
    {"amx-tile", 7, 0, kEdx, 24, Registers::kTiles},
    {"amx-int8", 7, 0, kEdx, 25, Registers::kTiles},
    {"amx-bf16", 7, 0, kEdx, 22, Registers::kTiles},
};

// Where Linux shows a feature of ARM.
struct ArmPlace {
  std::string_view name;
  uint64_t ArmAnswers::* word;
  int bit;
};

// Source: Linux, arch/arm64/include/uapi/asm/hwcap.h.
constexpr ArmPlace kArmPlaces[] = {
    {"crc", &ArmAnswers::hwcap, 7},    {"lse", &ArmAnswers::hwcap, 8},
    {"fp16", &ArmAnswers::hwcap, 10},  {"rdma", &ArmAnswers::hwcap, 12},
    {"rcpc", &ArmAnswers::hwcap, 15},  {"dotprod", &ArmAnswers::hwcap, 20},
    {"sve", &ArmAnswers::hwcap, 22},   {"fp16fml", &ArmAnswers::hwcap, 23},
    {"sve2", &ArmAnswers::hwcap2, 1},  {"i8mm", &ArmAnswers::hwcap2, 13},
    {"bf16", &ArmAnswers::hwcap2, 14}, {"sme", &ArmAnswers::hwcap2, 23},
};

bool is_shown(const Place& place, const CpuAnswers& answers) {
  // The first sub-leaf says which the last one is.
  const uint32_t last = answers.cpuid(place.leaf, 0).registers[kEax];
  if (place.subleaf > 0 && last < place.subleaf) return false;
  const CpuidOutput output = answers.cpuid(place.leaf, place.subleaf);
  return ((output.registers[place.output] >> place.bit) & 1) != 0;
}

bool is_granted(Registers registers, const CpuAnswers& answers) {
  constexpr uint64_t kAvxBits = 0x6;
  constexpr uint64_t kAvx512Bits = kAvxBits | 0xE0;
  constexpr uint64_t kTileBits = 0x60000;
  const auto keeps = [&](uint64_t bits) { return (answers.kept_registers & bits) == bits; };
  switch (registers) {
    case Registers::kGeneral:
      return true;
    case Registers::kAvx:
      return keeps(kAvxBits);
    case Registers::kAvx512:
      return keeps(kAvx512Bits);
    case Registers::kTiles:
      return keeps(kTileBits) && answers.hands_out_tiles;
  }
  return false;
}

#ifdef PYSERVE_ASK_CPU

CpuidOutput ask_cpuid(uint32_t leaf, uint32_t subleaf) {
  CpuidOutput out{};
  uint32_t* to = out.registers;
  if (__get_cpuid_count(leaf, subleaf, &to[kEax], &to[kEbx], &to[kEcx], &to[kEdx]) == 0) return {};
  return out;
}

// 0 when the system does not say.
uint64_t ask_kept_registers() {
  constexpr uint32_t kOsxsave = 1U << 27;
  if ((ask_cpuid(1, 0).registers[kEcx] & kOsxsave) == 0) return 0;
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

constexpr int kTileData = 18;

// Whether Linux hands out tiles to programs that ask for them. Source: its x86 documentation of
// XSTATE features; nothing is asked for here.
bool ask_for_tiles() {
  constexpr long kGetSupported = 0x1021;
  uint64_t supported = 0;
  return syscall(SYS_arch_prctl, kGetSupported, &supported) == 0 &&
         ((supported >> kTileData) & 1) != 0;
}

bool request() {
  constexpr long kRequest = 0x1023;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

std::vector<CpuFeature> ask_cpu() {
  return read_cpu_features({ask_cpuid, ask_kept_registers(), ask_for_tiles()});
}

#elif defined(__aarch64__) && defined(__linux__)

bool request() { return false; }

std::vector<CpuFeature> ask_cpu() {
  return read_arm_features({getauxval(AT_HWCAP), getauxval(AT_HWCAP2)});
}

#else

bool request() { return false; }

std::vector<CpuFeature> ask_cpu() { return {}; }

#endif

// The names that no feature with `has` set has.
std::string without(std::span<const std::string_view> required,
                    std::span<const CpuFeature> features, bool CpuFeature::* has) {
  std::string missing;
  for (const std::string_view name : required) {
    const bool is_there = std::any_of(
        features.begin(), features.end(),
        [&](const CpuFeature& feature) { return feature.name == name && feature.*has; });
    if (is_there) continue;
    if (!missing.empty()) missing += ", ";
    missing += name;
  }
  return missing;
}

}  // namespace

std::vector<CpuFeature> read_cpu_features(const CpuAnswers& answers) {
  std::vector<CpuFeature> found;
  for (const Place& place : kPlaces) {
    const bool shown = is_shown(place, answers);
    found.push_back({place.name, shown, shown && is_granted(place.registers, answers)});
  }
  return found;
}

std::vector<CpuFeature> read_arm_features(const ArmAnswers& answers) {
  std::vector<CpuFeature> found;
  for (const ArmPlace& place : kArmPlaces) {
    const bool shown = ((answers.*place.word >> place.bit) & 1) != 0;
    found.push_back({place.name, shown, shown});
  }
  return found;
}

const std::vector<CpuFeature>& cpu_features() {
  static const std::vector<CpuFeature> features = ask_cpu();
  return features;
}

bool request_tiles() { return request(); }

std::string why_not(std::span<const std::string_view> required,
                    std::span<const CpuFeature> features) {
  const std::string absent = without(required, features, &CpuFeature::is_shown);
  if (!absent.empty()) return "the CPU has no " + absent;
  const std::string denied = missing_features(required, features);
  return denied.empty() ? "" : "the system does not grant " + denied;
}

std::string missing_features(std::span<const std::string_view> required,
                             std::span<const CpuFeature> features) {
  return without(required, features, &CpuFeature::is_granted);
}

}  // namespace pyserve
