#include "disk/read_policy.h"

#include <doctest/doctest.h>

using namespace pyserve;

TEST_CASE("a prefix is read when that is faster than computing it") {
  constexpr int64_t kMib = 1 << 20;
  PrefixRates rates{1000.0 * kMib / 1000, 5};  // 1,000 MiB and 200 tokens a second
  CHECK(pays_to_read(rates, 1000, 32 * kMib));
  CHECK_FALSE(pays_to_read(rates, 63, kMib));
  CHECK_FALSE(pays_to_read(rates, 1000, 6000 * kMib));
  rates.prompt_ms_per_token = 0.01;
  CHECK_FALSE(pays_to_read(rates, 1000, 32 * kMib));
  rates.prompt_ms_per_token = 0;
  CHECK(pays_to_read(rates, 1000, 6000 * kMib));
  CHECK(read_limit_ms(rates, 1000, kMib) >= 1000);
}
