#include "base/event_rate.h"

#include <doctest/doctest.h>

#include <chrono>

using namespace pyserve;

namespace {

TimePoint at_ms(int ms) { return TimePoint() + std::chrono::milliseconds(ms); }

}  // namespace

TEST_CASE("the rate is that of the last events, and falls while nothing happens") {
  EventRate rate;
  CHECK(rate.ms_per_event(at_ms(0)) < 0);
  rate.push(at_ms(0));
  CHECK(rate.ms_per_event(at_ms(500)) < 0);
  rate.push(at_ms(100));
  CHECK(rate.ms_per_event(at_ms(100)) == doctest::Approx(50));
  CHECK(rate.ms_per_event(at_ms(1000)) == doctest::Approx(500));
  for (int i = 0; i < 40; ++i) rate.push(at_ms(2000 + 10 * i));
  CHECK(rate.ms_per_event(at_ms(2400)) == doctest::Approx(10));
  rate.clear();
  CHECK(rate.ms_per_event(at_ms(3000)) < 0);
}

TEST_CASE("a client is told whole seconds within bounds") {
  CHECK(retry_after_s(0) == 1);
  CHECK(retry_after_s(1001) == 2);
  CHECK(retry_after_s(1e9) == 60);
}
