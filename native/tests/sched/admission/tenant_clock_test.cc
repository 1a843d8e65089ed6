#include "sched/admission/tenant_clock.h"

#include <doctest/doctest.h>

#include <string>

using namespace pyserve;

TEST_CASE("the clock of a tenant advances by what it is charged") {
  TenantClock clock(1000);
  clock.charge("a", 300);
  clock.charge("b", 100);
  clock.charge("a", 50);
  CHECK(clock.at("a") - clock.at("b") == doctest::Approx(250));
}

TEST_CASE("no clock lags the fastest by more than the limit") {
  TenantClock clock(1000);
  clock.charge("b", 1);
  clock.charge("a", 5000);
  CHECK(clock.at("a") - clock.at("b") == doctest::Approx(1000));
  CHECK(clock.at("never seen") == doctest::Approx(clock.at("b")));
  // What it lagged more is forgotten, not owed.
  clock.charge("b", 400);
  CHECK(clock.at("a") - clock.at("b") == doctest::Approx(600));
}

TEST_CASE("tenants that were served long ago are forgotten") {
  TenantClock clock(1000);
  for (int i = 0; i < 10000; ++i) clock.charge("tenant " + std::to_string(i), 50 * i);
  CHECK(clock.n_tenants() <= 128);
}
