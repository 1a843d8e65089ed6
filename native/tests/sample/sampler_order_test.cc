#include "sample/sampler_order.h"

#include <doctest/doctest.h>

#include "sample/fused_sampler.h"

using namespace pyserve;

namespace {

SamplingParams with_order(const char* letters) {
  SamplingParams params;
  params.repeat_penalty = 1.1F;
  params.dry_multiplier = 0.8F;
  params.top_n_sigma = 1.0F;
  params.typical_p = 0.9F;
  params.xtc_probability = 0.5F;
  params.adaptive_target = 0.5F;
  params.samplers = letters;
  return params;
}

bool is_fused(const SamplingParams& params) { return FusedSampler::can_sample(normalized(params)); }

}  // namespace

TEST_CASE("the default order keeps the samplers that do something") {
  CHECK(normalized(SamplingParams{}).samplers == "kpmt");
  CHECK(normalized(with_order("edskypmxta")).samplers == "edskypmxta");
}

TEST_CASE("a sampler that is not listed is off") {
  const SamplingParams params = normalized(with_order("kt"));
  CHECK(params.samplers == "kt");
  CHECK(params.repeat_penalty == 1);
  CHECK(params.top_p == 1);
  CHECK(params.min_p == 0);
  CHECK(params.adaptive_target < 0);
  const SamplingParams none = normalized(with_order(""));
  CHECK(none.samplers.empty());
  CHECK(none.temperature == 1);
  CHECK(none.top_k == 0);
}

TEST_CASE("unknown letters are left out, repeated ones stay") {
  CHECK(normalized(with_order("zk?kt")).samplers == "kkt");
}

TEST_CASE("greedy needs no filter, unless one may drop the best token") {
  SamplingParams greedy;
  greedy.temperature = 1e-30F;
  greedy.mirostat = 2;
  CHECK(normalized(greedy).samplers == "t");
  CHECK(normalized(greedy).temperature == 0);
  CHECK(normalized(greedy).mirostat == 0);
  greedy.mirostat = 0;
  greedy.xtc_probability = 1;
  CHECK(normalized(greedy).samplers == "kpmxt");
  greedy.samplers = std::string("k");
  CHECK(normalized(greedy).temperature == 1);
}

TEST_CASE("mirostat leaves penalties, DRY and a plain temperature") {
  SamplingParams params = with_order("dkextpm");
  params.mirostat = 1;
  params.dynatemp_range = 0.5F;
  CHECK(normalized(params).samplers == "edt");
  CHECK(is_fused(params));
  CHECK(normalized(params).dynatemp_range == 0);
  params.mirostat = 7;
  CHECK(normalized(params).mirostat == 0);
}

TEST_CASE("the fused sampler takes what it can do, in its own order") {
  CHECK(is_fused(SamplingParams{}));
  CHECK(is_fused(with_order("")));
  CHECK(is_fused(with_order("edkpmt")));
  CHECK(is_fused(with_order("et")));
  CHECK_FALSE(is_fused(with_order("pkt")));
  CHECK_FALSE(is_fused(with_order("tk")));
  CHECK_FALSE(is_fused(with_order("kkt")));
  CHECK_FALSE(is_fused(with_order("de")));
  for (const char* other : {"s", "y", "x", "a"}) CHECK_FALSE(is_fused(with_order(other)));
  SamplingParams params;
  params.min_keep = 1;
  CHECK(is_fused(params));
  params.min_keep = 2;
  CHECK_FALSE(is_fused(params));
  params.top_p = 1;
  params.min_p = 0;
  CHECK(is_fused(params));
  params.dynatemp_range = 0.1F;
  CHECK_FALSE(is_fused(params));
}
