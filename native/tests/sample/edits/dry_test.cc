// DRY against the vendored sampler, and its breakers over small vocabularies.

#include "sample/edits/dry.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "llama-sampler.h"
#include "llama.h"

using namespace pyserve;

namespace {

using Tokens = std::vector<Token>;
constexpr int kAlphabet = 6;

SamplingParams dry_params(float multiplier, float base, int allowed_length) {
  SamplingParams params;
  params.dry_multiplier = multiplier;
  params.dry_base = base;
  params.dry_allowed_length = allowed_length;
  return params;
}

// Breakers of tokens alone, each a head and a tail.
std::shared_ptr<const DryBreakers> breakers_of(const std::vector<Tokens>& sequences) {
  DryBreakers out;
  out.single.resize(kAlphabet);
  for (const Tokens& sequence : sequences) {
    if (sequence.size() == 1) {
      out.single[static_cast<size_t>(sequence[0])] = true;
    } else {
      out.heads.emplace_back(sequence[0], static_cast<int>(out.tails.size()));
      out.tails.emplace_back(sequence.begin() + 1, sequence.end());
    }
  }
  std::sort(out.heads.begin(), out.heads.end());
  return std::make_shared<const DryBreakers>(std::move(out));
}

Tokens random_tokens(size_t n, std::mt19937& random) {
  Tokens tokens(n);
  const unsigned n_kinds = 1 + random() % kAlphabet;
  for (Token& token : tokens) token = static_cast<Token>(random() % n_kinds);
  return tokens;
}

// What the vendored sampler subtracts from each token's logit.
std::map<Token, float> oracle(const SamplingParams& p, int n_window, const Tokens& history,
                              const std::vector<Tokens>& sequences) {
  llama_sampler* sampler = llama_sampler_init_dry_testing(
      p.dry_multiplier, p.dry_base, p.dry_allowed_length, n_window, sequences);
  for (const Token token : history) llama_sampler_accept(sampler, token);
  std::vector<llama_token_data> data;
  for (Token token = 0; token < kAlphabet; ++token) data.push_back({token, 0, 0});
  llama_token_data_array array{data.data(), data.size(), -1, false};
  llama_sampler_apply(sampler, &array);
  llama_sampler_free(sampler);
  std::map<Token, float> out;
  for (const llama_token_data& item : data) {
    if (item.logit != 0) out[item.id] = -item.logit;
  }
  return out;
}

// A vocabulary whose words are tokens, longest match first.
Vocabulary vocabulary_of(const std::vector<std::string>& words) {
  const auto tokenize = [words](const std::string& text) {
    Tokens tokens;
    for (size_t at = 0; at < text.size();) {
      size_t best = words.size();
      for (size_t i = 0; i < words.size(); ++i) {
        const bool is_here = text.compare(at, words[i].size(), words[i]) == 0;
        if (is_here && (best == words.size() || words[i].size() > words[best].size())) best = i;
      }
      tokens.push_back(static_cast<Token>(best));
      at += best == words.size() ? 1 : words[best].size();
    }
    return tokens;
  };
  return {static_cast<int>(words.size()),
          [words](Token token) { return words[static_cast<size_t>(token)]; }, tokenize};
}

}  // namespace

TEST_CASE("DRY penalties are those of the vendored sampler") {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  std::mt19937 random(12);
  int n_penalized = 0;
  for (int round = 0; round < 5000; ++round) {
    const SamplingParams p =
        dry_params(0.8F, round % 5 == 0 ? 1.0F : 1.75F, static_cast<int>(random() % 5));
    const int n_window = 1 + static_cast<int>(random() % 40);
    const Tokens history = random_tokens(random() % 60, random);
    std::vector<Tokens> sequences;
    for (size_t i = random() % 3; i > 0; --i) {
      sequences.push_back(random_tokens(1 + random() % 3, random));
    }
    const auto split = static_cast<long>(history.empty() ? 0 : random() % history.size());
    DryPenalty dry(p, n_window, breakers_of(sequences),
                   Tokens(history.begin(), history.begin() + split));
    for (auto it = history.begin() + split; it != history.end(); ++it) dry.accept(*it);
    const std::map<Token, float> expected = oracle(p, n_window, history, sequences);
    const auto& ours = dry.penalties();
    INFO("round ", round);
    REQUIRE(ours.size() == expected.size());
    for (const auto& [token, penalty] : expected) {
      REQUIRE(ours.contains(token));
      REQUIRE(ours.at(token) == doctest::Approx(penalty));
    }
    n_penalized += expected.empty() ? 0 : 1;
  }
  CHECK(n_penalized > 1000);
}

TEST_CASE("a long repetition has a finite or an infinite penalty, never NaN") {
  const Tokens ones(2000, 1);
  for (const float base : {1.0F, 1.0000001F, 1.75F, 100.0F}) {
    DryPenalty dry(dry_params(100, base, 0), 2000, nullptr, ones);
    CHECK(dry.penalties().at(1) >= 100);
  }
}

TEST_CASE("a window of one token, or of none, has no repetition") {
  for (const int n_window : {0, 1}) {
    DryPenalty dry(dry_params(1, 1.75F, 1), n_window, nullptr, Tokens{1, 1, 1});
    dry.accept(1);
    CHECK(dry.penalties().empty());
  }
}

TEST_CASE("a breaker is found within a token, and across tokens") {
  const Vocabulary vocabulary = vocabulary_of({"a", "b", "ab", "xaby", "ya", "bb", "c"});
  const DryBreakers breakers = find_breakers(vocabulary, {"ab"});
  std::set<Token> single;
  for (Token token = 0; token < 7; ++token) {
    if (breakers.is_single(token)) single.insert(token);
  }
  CHECK(single == std::set<Token>{2, 3});
  CHECK(breakers.longest_tail(Tokens{2}, 0) == 0);
  // Newest first: "ya" is followed by "b", or by something else.
  CHECK(breakers.longest_tail(Tokens{1, 4}, 1) == 1);
  CHECK(breakers.longest_tail(Tokens{6, 4}, 1) == -1);
  CHECK(breakers.longest_tail(Tokens{4}, 0) == -1);
  CHECK(breakers.longest_tail(Tokens{1, 5}, 1) == -1);
}

TEST_CASE("empty breakers are none, long ones are cut") {
  const Vocabulary vocabulary = vocabulary_of({"a", "b"});
  CHECK(find_breakers(vocabulary, {"", ""}).single.empty());
  const DryBreakers breakers = find_breakers(vocabulary, {std::string(500, 'a')});
  CHECK_FALSE(breakers.is_single(0));
  REQUIRE(breakers.heads.size() == 1);
  CHECK(breakers.tails[0].size() == 20);
}

TEST_CASE("breakers that overlap themselves have every tail") {
  const Vocabulary vocabulary = vocabulary_of({"a", "aa", "b"});
  const DryBreakers breakers = find_breakers(vocabulary, {"aab"});
  // "aa" may be both letters, or end in the first one.
  CHECK(breakers.longest_tail(Tokens{2, 1}, 1) == 1);
  CHECK(breakers.longest_tail(Tokens{2, 0, 1}, 2) == 2);
  CHECK(breakers.longest_tail(Tokens{2, 0, 0}, 2) == 2);
}
