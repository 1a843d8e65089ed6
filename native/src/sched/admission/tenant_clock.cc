#include "sched/admission/tenant_clock.h"

#include <algorithm>

namespace pyserve {

void TenantClock::charge(std::string_view tenant, double n_tokens) {
  const double now = at(tenant) + n_tokens;
  latest_ = std::max(latest_, now);
  if (const auto found = clocks_.find(tenant); found != clocks_.end()) {
    found->second = now;
    return;
  }
  clocks_.emplace(tenant, now);
  if (clocks_.size() >= forget_at_size_) forget();
}

double TenantClock::at(std::string_view tenant) const {
  const auto found = clocks_.find(tenant);
  return found == clocks_.end() ? slowest() : std::max(found->second, slowest());
}

void TenantClock::forget() {
  std::erase_if(clocks_, [this](const auto& entry) { return entry.second <= slowest(); });
  // Twice what is left: forgetting costs a constant per new tenant.
  forget_at_size_ = std::max<size_t>(64, 2 * clocks_.size());
}

}  // namespace pyserve
