// Mirostat against the vendored samplers, and over long texts.

#include "sample/mirostat.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "llama.h"
#include "sample/fused_sampler.h"
#include "sample/sampler_order.h"

using namespace pyserve;

namespace {

using Row = std::vector<float>;

Row random_row(size_t n, float width, std::mt19937& random) {
  std::normal_distribution<float> normal(0, width);
  Row row(n);
  for (float& logit : row) logit = normal(random);
  return row;
}

SamplingParams mirostat_params(int version, float tau, float temperature = 1) {
  SamplingParams params;
  params.mirostat = version;
  params.mirostat_tau = tau;
  params.temperature = temperature;
  return normalized(params);
}

FusedSampler make(const SamplingParams& params, uint32_t seed = 1) {
  return {params, LogitEdits({}, params, 0, {}), seed};
}

// How many tokens the vendored sampler keeps of `row` in its first draw.
size_t oracle(const SamplingParams& p, const Row& row) {
  const auto n = static_cast<int>(row.size());
  llama_sampler* sampler =
      p.mirostat == 1 ? llama_sampler_init_mirostat(n, 1, p.mirostat_tau, p.mirostat_eta, 100)
                      : llama_sampler_init_mirostat_v2(1, p.mirostat_tau, p.mirostat_eta);
  std::vector<llama_token_data> data;
  for (int i = 0; i < n; ++i) data.push_back({i, row[i] / p.temperature, 0});
  llama_token_data_array array{data.data(), data.size(), -1, false};
  llama_sampler_apply(sampler, &array);
  llama_sampler_free(sampler);
  return array.size;
}

double surprise(const Row& row, Token token) {
  double total = 0;
  for (const float logit : row) total += std::exp(logit);
  return -std::log2(std::exp(row[static_cast<size_t>(token)]) / total);
}

}  // namespace

TEST_CASE("mirostat keeps as many tokens as the vendored sampler") {
  std::mt19937 random(13);
  RowScratch scratch;
  for (int round = 0; round < 400; ++round) {
    const SamplingParams p =
        mirostat_params(1 + round % 2, 0.5F + static_cast<float>(random() % 8) * 0.5F,
                        round % 3 == 0 ? 0.7F : 1.0F);
    Row row = random_row(500 + random() % 3000, 1.0F + static_cast<float>(random() % 3), random);
    FusedSampler sampler = make(p);
    const Token token = sampler.sample(row, -1, scratch).token;
    const auto n = static_cast<double>(scratch.ranked.size());
    const auto expected = static_cast<double>(oracle(p, row));
    INFO("round ", round, " tau ", p.mirostat_tau, " ours ", n, " theirs ", expected);
    // Theirs is computed in single precision.
    REQUIRE(std::abs(n - expected) <= 1 + expected * 1e-3);
    REQUIRE(std::any_of(scratch.ranked.begin(), scratch.ranked.end(),
                        [&](const RankedToken& kept) { return kept.token == token; }));
    // The best ones.
    std::vector<float> sorted = row;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    for (const RankedToken& kept : scratch.ranked) {
      REQUIRE(kept.logprob >= sorted[scratch.ranked.size() - 1]);
    }
  }
}

TEST_CASE("the surprise of a text becomes the target") {
  std::mt19937 random(14);
  RowScratch scratch;
  for (const float tau : {2.0F, 4.0F}) {
    FusedSampler sampler = make(mirostat_params(2, tau));
    double sum = 0;
    for (int i = 0; i < 600; ++i) {
      Row row = random_row(1000, 2.0F, random);
      const Token token = sampler.sample(row, -1, scratch).token;
      std::vector<float> kept;
      for (const RankedToken& ranked : scratch.ranked) kept.push_back(ranked.logprob);
      double total = 0;
      for (const float logit : kept) total += std::exp(logit);
      if (i >= 100) sum -= std::log2(std::exp(row[static_cast<size_t>(token)]) / total);
    }
    CHECK(sum / 500 == doctest::Approx(tau).epsilon(0.1));
  }
}

TEST_CASE("a long text without surprises does not end in a greedy one") {
  std::mt19937 random(15);
  RowScratch scratch;
  for (const int version : {1, 2}) {
    FusedSampler sampler = make(mirostat_params(version, 5.0F));
    Row certain(200, 0.0F);
    certain[7] = 60.0F;
    for (int i = 0; i < 3000; ++i) REQUIRE(sampler.sample(certain, -1, scratch).token == 7);
    Row open = random_row(200, 1.0F, random);
    double sum = 0;
    for (int i = 0; i < 20; ++i) sum += surprise(open, sampler.sample(open, -1, scratch).token);
    CHECK(sum / 20 > 4);
    CHECK(scratch.ranked.size() == 200);
  }
}

TEST_CASE("rows of equal, of one and of banned tokens can be sampled") {
  RowScratch scratch;
  for (const int version : {1, 2}) {
    for (const float tau : {0.0F, 5.0F, 100.0F}) {
      FusedSampler sampler = make(mirostat_params(version, tau, 1e-6F));
      for (Row row : {Row(300, 1.0F), Row(1, 1.0F), Row(2, -1000.0F)}) {
        const Token token = sampler.sample(row, -1, scratch).token;
        CHECK((token >= 0 && token < static_cast<Token>(row.size())));
      }
      Row banned(300, -std::numeric_limits<float>::infinity());
      banned[200] = 0;
      CHECK(sampler.sample(banned, -1, scratch).token == 200);
    }
  }
}
