// The fused sampler against the vendored samplers, which are the oracle.

#include "sample/fused_sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "llama.h"
#include "sample/row/scan.h"

using namespace pyserve;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
using Row = std::vector<float>;

Row random_row(size_t n, std::mt19937& random) {
  std::normal_distribution<float> normal(0, 3);
  Row row(n);
  for (float& logit : row) logit = normal(random);
  return row;
}

SamplingParams params(int top_k, float top_p, float min_p, float temperature) {
  SamplingParams out;
  out.top_k = top_k;
  out.top_p = top_p;
  out.min_p = min_p;
  out.temperature = temperature;
  return out;
}

FusedSampler make(const SamplingParams& p, uint32_t seed = 1, TokenSpan prompt = {}) {
  return {p, LogitEdits(p.logit_bias, p, p.repeat_last_n, prompt), seed};
}

struct Chain {
  Chain() : chain(llama_sampler_chain_init(llama_sampler_chain_default_params())) {}
  ~Chain() { llama_sampler_free(chain); }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;
  void add(llama_sampler* sampler) { llama_sampler_chain_add(chain, sampler); }
  llama_sampler* chain;
};

// What was said before: only the answer gets the frequency and presence penalties.
struct History {
  std::vector<Token> prompt;
  std::vector<Token> answer;
};

// The vendored biases and penalties.
void add_edits(const SamplingParams& p, int n_vocab, const History& history, Chain& chain) {
  std::vector<llama_logit_bias> biases;
  for (const auto& [token, bias] : p.logit_bias) biases.push_back({token, bias});
  if (!biases.empty()) {
    chain.add(
        llama_sampler_init_logit_bias(n_vocab, static_cast<int>(biases.size()), biases.data()));
  }
  llama_sampler* repeat =
      llama_sampler_init_penalties(n_vocab, p.repeat_last_n, p.repeat_penalty, 0, 0);
  for (const Token token : history.prompt) llama_sampler_accept(repeat, token);
  chain.add(repeat);
  chain.add(llama_sampler_init_penalties(n_vocab, n_vocab, 1.0F, p.frequency_penalty,
                                         p.presence_penalty));
  for (const Token token : history.answer) llama_sampler_accept(chain.chain, token);
}

// What the vendored chain leaves of the row: token -> logit.
std::map<Token, float> oracle(const SamplingParams& p, const Row& row,
                              const History& history = {}) {
  Chain chain;
  add_edits(p, static_cast<int>(row.size()), history, chain);
  if (p.top_k > 0) chain.add(llama_sampler_init_top_k(p.top_k));
  if (p.top_p < 1) chain.add(llama_sampler_init_top_p(p.top_p, 1));
  if (p.min_p > 0) chain.add(llama_sampler_init_min_p(p.min_p, 1));
  std::vector<llama_token_data> data;
  for (size_t i = 0; i < row.size(); ++i) data.push_back({static_cast<Token>(i), row[i], 0});
  llama_token_data_array array{data.data(), data.size(), -1, false};
  llama_sampler_apply(chain.chain, &array);
  std::map<Token, float> out;
  for (size_t i = 0; i < array.size; ++i) out[array.data[i].id] = array.data[i].logit;
  return out;
}

// A token exactly at the cut of top_p may fall either way by rounding.
bool same_but_for_the_cut(const std::map<Token, float>& expected, std::vector<RankedToken> kept) {
  if (expected.size() > kept.size() + 1 || kept.size() > expected.size() + 1) return false;
  std::vector<std::pair<float, Token>> sorted;
  for (const auto& [token, logit] : expected) sorted.emplace_back(-logit, token);
  std::sort(sorted.begin(), sorted.end());
  std::sort(kept.begin(), kept.end(), [](const RankedToken& a, const RankedToken& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
  });
  for (size_t i = 0; i < std::min(sorted.size(), kept.size()); ++i) {
    if (sorted[i].second != kept[i].token) return false;
  }
  return true;
}

}  // namespace

namespace {

template <typename T>
T one_of(std::initializer_list<T> values, std::mt19937& random) {
  return values.begin()[random() % values.size()];
}

SamplingParams random_params(std::mt19937& random, size_t n_vocab) {
  SamplingParams p =
      params(one_of({0, 1, 5, 40, 300, 5000}, random), one_of({1.0F, 0.95F, 0.5F, 0.01F}, random),
             one_of({0.0F, 0.05F, 0.5F}, random), 0.8F);
  if (random() % 3 != 0) return p;
  p.repeat_penalty = one_of({1.0F, 1.1F, 3.0F}, random);
  p.repeat_last_n = one_of({0, 16, 64}, random);
  p.frequency_penalty = one_of({0.0F, -0.5F, 1.5F}, random);
  p.presence_penalty = one_of({0.0F, -1.0F, 2.0F}, random);
  p.logit_bias = {{static_cast<Token>(random() % n_vocab), one_of({-kInf, -5.0F, 9.0F}, random)}};
  return p;
}

History random_history(std::mt19937& random, size_t n_vocab) {
  History history{std::vector<Token>(80), std::vector<Token>(20)};
  for (Token& token : history.prompt) token = static_cast<Token>(random() % n_vocab);
  for (Token& token : history.answer) token = static_cast<Token>(random() % n_vocab);
  return history;
}

}  // namespace

TEST_CASE("10,000 random rows keep the tokens that the vendored chain keeps") {
  std::mt19937 random(5);
  const Row pool = random_row(60000, random);
  int n_at_cut = 0;
  RowScratch scratch;
  for (int round = 0; round < 10000; ++round) {
    const size_t n = one_of({320, 1000, 4099}, random);
    const auto begin = pool.begin() + static_cast<long>(random() % (pool.size() - n));
    Row row(begin, begin + static_cast<long>(n));
    const SamplingParams p = random_params(random, n);
    const bool has_top_k = p.top_k > 0 && p.top_k < static_cast<int>(n);
    if (!has_top_k && p.top_p == 1 && p.min_p == 0) continue;  // everything is kept
    const History history = random_history(random, n);
    LogitEdits edits(p.logit_bias, p, p.repeat_last_n, history.prompt);
    for (const Token token : history.answer) edits.accept(token);
    const Token token = FusedSampler(p, std::move(edits), 1).sample(row, -1, scratch).token;
    std::map<Token, float> expected = oracle(p, row, history);
    std::erase_if(expected, [](const auto& item) { return item.second == -kInf; });
    INFO("round ", round, " top_k ", p.top_k, " top_p ", p.top_p, " min_p ", p.min_p, " n ", n);
    REQUIRE(same_but_for_the_cut(expected, scratch.ranked));
    n_at_cut += expected.size() != scratch.ranked.size() ? 1 : 0;
    REQUIRE(std::any_of(scratch.ranked.begin(), scratch.ranked.end(),
                        [&](const RankedToken& kept) { return kept.token == token; }));
  }
  CHECK(n_at_cut < 20);
}

TEST_CASE("a nucleus of very many tokens is the shortest one") {
  std::mt19937 random(11);
  RowScratch scratch;
  for (int round = 0; round < 12; ++round) {
    Row row = random_row(40000, random);
    const float width = 0.01F * static_cast<float>(1 + round % 4 * 20);
    for (float& logit : row) logit *= width;
    if (round % 3 == 0) row[random() % row.size()] = -kInf;
    const float top_p = round % 2 == 0 ? 0.9F : 0.3F;
    make(params(0, top_p, 0.0F, 1.0F)).sample(row, -1, scratch);
    // Reference: sort everything, add in double precision.
    const float max = *std::max_element(row.begin(), row.end());
    std::vector<double> weights;
    for (const float logit : row) weights.push_back(std::exp(static_cast<double>(logit) - max));
    std::sort(weights.begin(), weights.end(), std::greater<>());
    const double needed = top_p * std::accumulate(weights.begin(), weights.end(), 0.0);
    size_t n = 0;
    for (double mass = 0; mass < needed; ++n) mass += weights[n];
    INFO("round ", round, " n ", n);
    CHECK(n > 256);  // more than the narrow search would sort
    CHECK(std::abs(static_cast<long>(scratch.ranked.size()) - static_cast<long>(n)) <= 1);
    float worst = kInf;
    for (const RankedToken& token : scratch.ranked) worst = std::min(worst, token.logprob);
    CHECK(std::exp(worst - max) == doctest::Approx(weights[n - 1]).epsilon(1e-4));
  }
}

TEST_CASE("draws follow the distribution (chi-square)") {
  std::mt19937 random(6);
  const Row row = random_row(700, random);
  for (const SamplingParams& p :
       {params(40, 0.95F, 0.05F, 0.8F), params(0, 1.0F, 0.0F, 1.0F), params(0, 1.0F, 0.0F, 0.4F),
        params(0, 0.9F, 0.0F, 1.3F), params(0, 1.0F, 0.1F, 1.0F)}) {
    std::map<Token, float> kept = oracle(p, row);
    double total = 0;
    std::map<Token, double> expected;
    for (const auto& [token, logit] : kept)
      total += expected[token] = std::exp(logit / p.temperature);
    FusedSampler sampler = make(p, 7);
    RowScratch scratch;
    std::map<Token, int> seen;
    constexpr int kDraws = 20000;
    Row copy = row;
    for (int i = 0; i < kDraws; ++i) ++seen[sampler.sample(copy, -1, scratch).token];
    // Rare tokens are counted as one.
    double chi_square = 0;
    double rare_expected = 0;
    int rare_seen = kDraws;
    int n_bins = 0;
    for (const auto& [token, weight] : expected) {
      const double mean = kDraws * weight / total;
      if (mean < 20) {
        rare_expected += mean;
        continue;
      }
      rare_seen -= seen[token];
      chi_square += (seen[token] - mean) * (seen[token] - mean) / mean;
      ++n_bins;
    }
    if (rare_expected >= 20) {
      chi_square += (rare_seen - rare_expected) * (rare_seen - rare_expected) / rare_expected;
      ++n_bins;
    }
    for (const auto& [token, n] : seen) CHECK((n == 0 || expected.contains(token)));
    // Mean n_bins - 1, standard deviation sqrt(2 (n_bins - 1)).
    CHECK(chi_square < n_bins - 1 + 5 * std::sqrt(2.0 * (n_bins - 1)) + 1);
  }
}

TEST_CASE("penalties and biases change the row as the vendored samplers do") {
  std::mt19937 random(8);
  for (int round = 0; round < 300; ++round) {
    SamplingParams p;
    p.repeat_penalty = round % 3 == 0 ? 1.0F : 1.3F;
    p.frequency_penalty = round % 2 == 0 ? 0.0F : 0.4F;
    p.presence_penalty = round % 5 == 0 ? 0.0F : -0.7F;
    p.repeat_last_n = 16;
    const std::vector<std::pair<Token, float>> biases{{3, 2.5F}, {9, -kInf}};
    std::vector<Token> prompt(40);
    for (Token& token : prompt) token = static_cast<Token>(random() % 50);
    Row row = random_row(300, random);
    const Row original = row;

    const std::vector<llama_logit_bias> vendor_biases{{3, 2.5F}, {9, -kInf}};
    Chain chain;
    chain.add(llama_sampler_init_logit_bias(300, 2, vendor_biases.data()));
    llama_sampler* repeat = llama_sampler_init_penalties(300, 16, p.repeat_penalty, 0, 0);
    for (const Token token : prompt) llama_sampler_accept(repeat, token);
    chain.add(repeat);
    chain.add(
        llama_sampler_init_penalties(300, 300, 1.0F, p.frequency_penalty, p.presence_penalty));
    LogitEdits edits(biases, p, 16, prompt);
    for (int i = 0; i < 30; ++i) {
      const auto token = static_cast<Token>(random() % 20);
      edits.accept(token);
      llama_sampler_accept(chain.chain, token);
    }
    std::vector<llama_token_data> data;
    for (Token token = 0; token < 300; ++token) data.push_back({token, row[token], 0});
    llama_token_data_array array{data.data(), data.size(), -1, false};
    llama_sampler_apply(chain.chain, &array);
    edits.apply(row);
    for (size_t i = 0; i < array.size; ++i) {
      const float ours = row[array.data[i].id];
      const float theirs = array.data[i].logit;
      CHECK((ours == theirs || ours == doctest::Approx(theirs)));
    }
    edits.undo(row);
    CHECK(row == original);
  }
}

TEST_CASE("greedy takes the lowest id of equals and sees the edits") {
  RowScratch scratch;
  Row row(600, 1.0F);
  row[40] = row[300] = 5.0F;
  SamplingParams greedy = params(40, 0.95F, 0.05F, 0.0F);
  CHECK(make(greedy).sample(row, -1, scratch).token == 40);
  greedy.logit_bias = {{40, -100.0F}, {599, 1.0F}};
  CHECK(make(greedy).sample(row, -1, scratch).token == 300);
  greedy.logit_bias = {{599, 9.0F}};
  CHECK(make(greedy).sample(row, -1, scratch).token == 599);
}

TEST_CASE("a seed repeats its draws, another one does not") {
  std::mt19937 random(9);
  Row row = random_row(900, random);
  RowScratch scratch;
  const auto draws = [&](uint32_t seed) {
    FusedSampler sampler = make(params(0, 1.0F, 0.0F, 1.5F), seed);
    std::vector<Token> out;
    for (int i = 0; i < 20; ++i) out.push_back(sampler.sample(row, -1, scratch).token);
    return out;
  };
  CHECK(draws(1) == draws(1));
  CHECK(draws(1) != draws(2));
}

TEST_CASE("logprobs are those of the row without edits") {
  std::mt19937 random(10);
  Row row = random_row(1000, random);
  SamplingParams p = params(40, 0.95F, 0.05F, 0.8F);
  p.logit_bias = {{5, 50.0F}};
  RowScratch scratch;
  const FusedSampler::Choice choice = make(p).sample(row, 20, scratch);
  CHECK(choice.token == 5);
  REQUIRE(scan_maxima(row_kernels(), row, scratch));
  const RowLogprobs expected = row_logprobs(row_kernels(), row, 5, 20, scratch);
  CHECK(choice.logprobs.sampled == doctest::Approx(expected.sampled));
  REQUIRE(choice.logprobs.top.size() == 20);
  for (size_t i = 0; i < 20; ++i) {
    CHECK(choice.logprobs.top[i].token == expected.top[i].token);
    CHECK(choice.logprobs.top[i].logprob == doctest::Approx(expected.top[i].logprob));
  }
}

TEST_CASE("a row that cannot be sampled gives no token and is left as it was") {
  RowScratch scratch;
  SamplingParams ban = params(40, 0.95F, 0.05F, 0.8F);
  for (Token token = 0; token < 10; ++token) ban.logit_bias.emplace_back(token, -kInf);
  Row row(10, 1.0F);
  CHECK(make(ban).sample(row, 5, scratch).token == -1);
  CHECK(row == Row(10, 1.0F));
  for (const float bad : {std::nanf(""), kInf}) {
    Row poisoned(10, 1.0F);
    poisoned[4] = bad;
    CHECK(make(params(0, 1, 0, 1)).sample(poisoned, -1, scratch).token == -1);
  }
  Row nothing(10, -kInf);
  CHECK(make(params(0, 1, 0, 1)).sample(nothing, -1, scratch).token == -1);
}

TEST_CASE("seeds fold into 32 bits and differ") {
  CHECK(fold_seed(1) != fold_seed(2));
  CHECK(fold_seed(int64_t{1} << 40) != fold_seed(0));
}
