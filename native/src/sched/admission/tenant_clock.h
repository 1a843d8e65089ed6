// Fair sharing by virtual time: how much each tenant has been served lately.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace pyserve {

// Every tenant has a clock that advances by the work done for it; the one that is behind goes
// first. No clock lags the fastest by more than `max_lag_tokens`: who asked for nothing saves up
// that much and no more, and who had the machine alone owes that much and no more.
// Tenants at the limit are forgotten, so memory is bounded by those served lately.
// Thread: engine thread only.
class TenantClock {
 public:
  explicit TenantClock(double max_lag_tokens) : max_lag_tokens_(max_lag_tokens) {}

  // Advances the clock of `tenant`. REQUIRES: n_tokens >= 0.
  void charge(std::string_view tenant, double n_tokens);

  double at(std::string_view tenant) const;

  size_t n_tenants() const { return clocks_.size(); }

 private:
  void forget();

  double slowest() const { return latest_ - max_lag_tokens_; }

  const double max_lag_tokens_;
  double latest_ = 0;
  std::map<std::string, double, std::less<>> clocks_;
  size_t forget_at_size_ = 64;
};

}  // namespace pyserve
