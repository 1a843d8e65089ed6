// Detects CPU features (CPUID; on ARM what Linux says of them), and which of them the operating
// system lets programs use.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pyserve {

// An extension of x86 or ARM, by the name that GCC's -m or -march has for it. An instruction may be
// executed only where the system keeps the registers it uses when it changes between programs
// (XCR0), and for tiles (AMX) where the kernel hands them out; a hypervisor may hide either. On ARM
// only the kernel can ask the CPU, and shows what it grants.
struct CpuFeature {
  std::string_view name;
  bool is_shown;    // by the CPU, to whoever asks it
  bool is_granted;  // shown, and the system lets programs use it
};

// What `cpuid` says: eax, ebx, ecx and edx.
struct CpuidOutput {
  uint32_t registers[4];
};

// What is asked to find the features.
struct CpuAnswers {
  std::function<CpuidOutput(uint32_t leaf, uint32_t subleaf)> cpuid;  // zeros past the last leaf
  uint64_t kept_registers = 0;                                        // XCR0
  bool hands_out_tiles = false;
};

// Those that kernels or compilers may use, in a fixed order.
std::vector<CpuFeature> read_cpu_features(const CpuAnswers& answers);

// What Linux says to programs on 64-bit ARM: AT_HWCAP and AT_HWCAP2.
struct ArmAnswers {
  uint64_t hwcap = 0;
  uint64_t hwcap2 = 0;
};

std::vector<CpuFeature> read_arm_features(const ArmAnswers& answers);

// Of this CPU; none where it is neither x86 nor 64-bit ARM.
const std::vector<CpuFeature>& cpu_features();

// Asks the system to let this process use tiles from now on; children inherit it. False: it does
// not, as in some sandboxes, or for a stack of signals that is too small; then their instructions
// are illegal.
[[nodiscard]] bool request_tiles();

// Why code that needs `required` cannot run, in words: what the CPU does not have, or what the
// system does not grant of it. "": it can. Features that are not known here are not there.
std::string why_not(std::span<const std::string_view> required,
                    std::span<const CpuFeature> features = cpu_features());

// The names in `required` that are not granted, in order, separated by ", ". "" = all there.
std::string missing_features(std::span<const std::string_view> required,
                             std::span<const CpuFeature> features = cpu_features());

}  // namespace pyserve
