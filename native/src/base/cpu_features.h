// What this CPU can do, and what the operating system lets programs use of it.
#pragma once

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

// Those that kernels or compilers may use, in a fixed order; none where the CPU is no x86.
const std::vector<CpuFeature>& cpu_features();

// Whether a feature is granted; false for names that are not known here.
bool has_cpu_feature(std::string_view name);

// The names in `required` that `has` denies, in order, separated by ", ". "" = all there.
std::string missing_features(std::span<const std::string_view> required,
                             bool (*has)(std::string_view) = has_cpu_feature);

}  // namespace pyserve
