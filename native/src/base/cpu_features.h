// Detects CPU features (CPUID), and which of them the operating system lets programs use.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pyserve {

// An extension of x86, by the name that GCC's -m has for it. An instruction may be executed only
// where the system keeps the registers it uses when it changes between programs (XCR0), and for
// tiles (AMX) where the kernel hands them out; a hypervisor may hide either.
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

// Of this CPU; none where it is no x86.
const std::vector<CpuFeature>& cpu_features();

// Why code that needs `required` cannot run, in words: what the CPU does not have, or what the
// system does not grant of it. "": it can. Features that are not known here are not there.
std::string why_not(std::span<const std::string_view> required,
                    std::span<const CpuFeature> features = cpu_features());

// The names in `required` that are not granted, in order, separated by ", ". "" = all there.
std::string missing_features(std::span<const std::string_view> required,
                             std::span<const CpuFeature> features = cpu_features());

}  // namespace pyserve
