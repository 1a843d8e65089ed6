#include "ladder/ladder.h"

#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "base/cpu_features.h"
#include "base/kernel_rung.h"
#include "kernels/injected_fault.h"
#include "kernels/install.h"
#include "ladder/proof.h"
#include "ladder/use_kernels.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

constexpr std::string_view kAutomatic = "auto";

// The rung to begin at, and whether somebody asked for it.
std::pair<Rung, bool> first_rung(std::string wanted) {
  if (wanted.empty()) {
    const char* variable = std::getenv("PYSERVE_KERNELS");
    wanted = variable == nullptr ? "" : variable;
  }
  if (wanted.empty() || wanted == kAutomatic) return {kLadder.front(), false};
  const std::optional<Rung> rung = rung_named(wanted);
  if (rung) return {*rung, true};
  std::string names(kAutomatic);
  for (const Rung each : kLadder) names += ", " + std::string(name_of(each));
  throw EngineError(ErrorCode::kInvalidRequest,
                    "kernels are '" + wanted + "', allowed are " + names);
}

Ladder& ladder_of_process() {
  static Ladder ladder;
  return ladder;
}

}  // namespace

std::string Ladder::missing(Rung rung) const { return why_not(features_of(rung), features_); }

std::string Ladder::failure(Rung rung) {
  const std::lock_guard lock(mutex_);
  const auto known = failures_.find(rung);
  if (known != failures_.end()) return known->second;
  return failures_[rung] = rung == Rung::kStock ? "" : prove(rung);
}

Rung Ladder::rung_to_fall_to(Rung rung) const {
  rung = rung_below(rung);
  while (rung != Rung::kStock && !missing(rung).empty()) rung = rung_below(rung);
  return rung;
}

KernelChoice Ladder::choose(const std::string& wanted) {
  faults_of_environment();  // throws when nobody could have meant them
  const auto [first, is_asked_for] = first_rung(wanted);
  KernelChoice choice;
  Rung rung = first;
  for (; rung != Rung::kStock; rung = rung_below(rung)) {
    std::string reason = missing(rung);
    // A CPU that has less is as good as any; one that may not use what it has is worth a word.
    const bool is_news = is_asked_for || !reason.starts_with("the CPU has no");
    if (reason.empty()) {
      reason = failure(rung);
      if (reason.empty()) break;
      reason = "failed its proof: " + reason;
    }
    if (is_news) choice.falls.push_back({std::string(name_of(rung)), reason});
  }
  choice.kernels = name_of(rung);
  if (rung != Rung::kStock) choice.lower = name_of(rung_to_fall_to(rung));
  return choice;
}

KernelChoice choose_kernels(const std::string& wanted) {
  return ladder_of_process().choose(wanted);
}

std::vector<KernelRung> kernel_ladder() { return ladder_of_process().rungs(); }

void use_kernels(const std::string& wanted) {
  static std::once_flag once;
  std::call_once(once, [&] {
    const Rung rung = *rung_named(choose_kernels(wanted).kernels);
    install_kernels(rung);
    inject_faults(rung, InjectedFault::kUse);
  });
}

std::vector<KernelRung> Ladder::rungs() {
  std::vector<KernelRung> ladder;
  for (const Rung rung : kLadder) {
    const std::string reason = missing(rung);
    ladder.push_back({std::string(name_of(rung)), reason, reason.empty() ? failure(rung) : ""});
  }
  return ladder;
}

}  // namespace pyserve
