// Choosing kernels: proofs, injected faults, and what children of this process say.

#include "ladder/ladder.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "base/kernel_rung.h"
#include "base/signal_names.h"
#include "kernels/injected_fault.h"
#include "ladder/child.h"
#include "ladder/proof.h"
#include "pyserve/error.h"

using namespace pyserve;

namespace {

class Faults {
 public:
  explicit Faults(const char* text) { setenv("PYSERVE_KERNEL_FAULTS", text, 1); }
  ~Faults() { unsetenv("PYSERVE_KERNEL_FAULTS"); }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
};

// The lowest rung of ours.
constexpr Rung kLowest = kLadder[kLadder.size() - 2];
const std::string kLowestName(name_of(kLowest));

// What is chosen where nothing is proved yet: "RUNG<LOWER|FALL: REASON|...".
std::string chosen(const std::string& wanted) {
  const KernelChoice choice = Ladder().choose(wanted);
  std::string text = choice.kernels + "<" + choice.lower;
  for (const KernelFall& fall : choice.falls) text += "|" + fall.kernels + ": " + fall.reason;
  return text;
}

}  // namespace

TEST_CASE("a child says what its work returns, or how it ended") {
  CHECK(run_in_child([] { return std::string(); }).empty());
  CHECK(run_in_child([] { return std::string(100000, 'x'); }) == std::string(100000, 'x'));
  CHECK(run_in_child([]() -> std::string { throw std::runtime_error("thrown"); }) == "thrown");
  for (const int number : {SIGILL, SIGFPE, SIGBUS, SIGSEGV, SIGKILL}) {
    const std::string said = run_in_child([number] {
      raise(number);
      return std::string();
    });
    CHECK(said == signal_name(number));
  }
  CHECK(run_in_child([]() -> std::string { _exit(0); }) == "its process ended early");
  const auto forever = []() -> std::string {
    for (;;) pause();
  };
  CHECK(run_in_child(forever, 1) == "no end within 1 s");
}

TEST_CASE("every rung of ours that this CPU has passes its proof") {
  for (const Rung rung : kLadder) {
    if (rung == Rung::kStock || !can_run(rung)) continue;
    INFO(name_of(rung));
    CHECK(prove(rung) == "");
  }
  for (const KernelRung& rung : kernel_ladder()) {
    INFO(rung.kernels);
    CHECK(rung.failure == "");
  }
}

TEST_CASE("proofs leave the kernels of this process alone") {
  const Rung before = rung_in_force();
  prove(Rung::kStock);
  CHECK(rung_in_force() == before);
}

TEST_CASE("a rung that faults in its proof is not chosen") {
  if (!can_run(kLowest)) return;
  CHECK(chosen(kLowestName) == kLowestName + "<stock");
  for (const char* how : {"SIGILL", "SIGFPE", "SIGBUS"}) {
    const Faults faults((kLowestName + ":proof:" + how).c_str());
    CHECK(chosen(kLowestName) == "stock<|" + kLowestName + ": failed its proof: " + how);
  }
}

TEST_CASE("a rung that computes something else is not chosen, and what it computes is named") {
  if (!can_run(kLowest)) return;
  const auto chosen_with = [](const char* how) {
    const Faults faults((kLowestName + ":proof:wrong" + how).c_str());
    return chosen(kLowestName);
  };
  const std::string fall = "stock<|" + kLowestName + ": failed its proof: ";
  CHECK(chosen_with("") == fall + "the product of q4_0 weights (CPU) and 1 columns is wrong");
  CHECK(chosen_with("-FLASH_ATTN_EXT") == fall + "attention of heads of 64 is wrong");
  CHECK(chosen_with("-GLU") == fall + "GEGLU is wrong");
}

TEST_CASE("every rung of a CPU can fail, one after the other") {
  std::string faults;
  std::string expected = "stock<";
  for (const Rung rung : kLadder) {
    if (rung == Rung::kStock || !can_run(rung)) continue;
    if (!faults.empty()) faults += ",";
    faults += name_of(rung);
    faults += ":proof:SIGILL";
    expected += "|";
    expected += name_of(rung);
    expected += ": failed its proof: SIGILL";
  }
  const Faults injected(faults.c_str());
  const char* asked_for = std::getenv("PYSERVE_KERNELS");
  if (asked_for == nullptr) CHECK(chosen("auto") == expected);
}

TEST_CASE("what the CPU shows and the system does not grant is a rung") {
  if (!can_run(Rung::kAvx2)) return;
  std::vector<CpuFeature> features = cpu_features();
  for (CpuFeature& feature : features) {
    if (feature.name == "avxvnni" || feature.name.starts_with("amx")) {
      feature.is_shown = feature.is_granted = false;
    }
    if (!feature.name.starts_with("avx512")) continue;
    feature.is_shown = true;
    feature.is_granted = false;
  }
  const KernelChoice choice = Ladder(features).choose("auto");
  CHECK(choice.kernels == "avx2");
  REQUIRE(choice.falls.size() == 2);
  CHECK(choice.falls[0].kernels == "avx512vnni");
  CHECK(choice.falls[0].reason ==
        "the system does not grant avx512f, avx512dq, avx512bw, avx512vl, avx512vnni");
  CHECK(choice.falls[1].kernels == "avx512bw");
}

TEST_CASE("what a rung falls to is what the CPU has") {
  if (!can_run(Rung::kAvx512Bw)) return;
  std::vector<CpuFeature> features = cpu_features();
  const auto lower = [&](bool has_avxvnni) {
    for (CpuFeature& feature : features) {
      if (feature.name == "avxvnni") feature.is_shown = feature.is_granted = has_avxvnni;
    }
    return Ladder(features).choose("avx512bw").lower;
  };
  CHECK(lower(false) == "avx2");
  CHECK(lower(true) == "avxvnni");
}

TEST_CASE("a CPU that has less gets what it has without a word") {
  const KernelChoice choice = Ladder(std::vector<CpuFeature>()).choose("auto");
  CHECK(choice.kernels == "stock");
  CHECK(choice.lower == "");
  CHECK(choice.falls.empty());
}

TEST_CASE("a rung that was asked for and cannot be had is named") {
  const Rung highest = kLadder.front();
  if (can_run(highest)) return;
  const std::string name(name_of(highest));
  const std::string said = chosen(name);
  CHECK(said.find("|" + name + ": ") != said.npos);
  CHECK(said.find(features_of(highest).back()) != said.npos);
}

TEST_CASE("names that no rung has are refused with those that are allowed") {
  std::string names = "kernels are 'AVX', allowed are auto";
  for (const Rung rung : kLadder) names += ", " + std::string(name_of(rung));
  CHECK_THROWS_WITH_AS(choose_kernels("AVX"), names.c_str(), EngineError);
}

TEST_CASE("faults are read, and refused when they make no sense") {
  const auto faults =
      parse_faults(kLowestName + ":proof:SIGILL,stock:20:SIGBUS," + kLowestName + ":3:wrong-GLU");
  REQUIRE(faults.size() == 3);
  CHECK(faults[0].rung == kLowest);
  CHECK(faults[0].when == InjectedFault::kProof);
  CHECK(faults[0].signal == SIGILL);
  CHECK(faults[1].rung == Rung::kStock);
  CHECK(faults[1].when == InjectedFault::kUse);
  CHECK(faults[1].n_products == 20);
  CHECK(faults[1].signal == SIGBUS);
  CHECK(faults[2].signal == 0);
  CHECK(parse_faults("").empty());
  for (const char* text : {"stock", "stock:proof", "mmx:proof:SIGILL", "stock:-1:SIGILL",
                           "stock:x:SIGILL", "stock:3:wrong-X", "stock:3:SIGNAL", ","}) {
    INFO(text);
    CHECK_THROWS_AS(parse_faults(text), EngineError);
  }
}
