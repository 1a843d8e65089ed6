// A row of logits to a token: the fused sampler against the vendored chain, as llama-server runs
// it.

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "bench.h"
#include "llama.h"
#include "sample/fused_sampler.h"
#include "sample/sampler_order.h"

namespace pyserve::bench {
namespace {

using Row = std::vector<float>;

// As models make them: most tokens far below a few; or flat, with a nucleus of very many tokens.
// More rows than a cache holds of large ones.
std::vector<Row> make_rows(size_t n_vocab, float peak) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2.5F);
  std::vector<Row> rows(8, Row(n_vocab));
  for (Row& row : rows) {
    for (float& logit : row) logit = normal(random);
    for (int i = 0; i < 50; ++i) row[random() % n_vocab] += peak;
  }
  return rows;
}

std::vector<Token> make_prompt(size_t n_vocab) {
  std::mt19937 random(2);
  std::vector<Token> prompt(64);
  for (Token& token : prompt) token = static_cast<Token>(random() % n_vocab);
  return prompt;
}

struct Free {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};

// The vendored samplers in the order of llama-server, with what is neutral left out.
class VendoredChain {
 public:
  VendoredChain(const SamplingParams& p, int n_vocab, TokenSpan prompt)
      : chain_(llama_sampler_chain_init(llama_sampler_chain_default_params())) {
    if (p.repeat_penalty != 1) {
      add(llama_sampler_init_penalties(n_vocab, p.repeat_last_n, p.repeat_penalty, 0, 0));
    }
    if (p.top_k > 0) add(llama_sampler_init_top_k(p.top_k));
    if (p.top_p < 1) add(llama_sampler_init_top_p(p.top_p, 0));
    if (p.min_p > 0) add(llama_sampler_init_min_p(p.min_p, 0));
    add(llama_sampler_init_temp_ext(p.temperature, 0, 1));
    add(p.mirostat == 2 ? llama_sampler_init_mirostat_v2(1, p.mirostat_tau, p.mirostat_eta)
                        : llama_sampler_init_dist(1));
    for (const Token token : prompt) llama_sampler_accept(chain_.get(), token);
  }

  Token sample(const Row& row) {
    data_.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) data_[i] = {static_cast<Token>(i), row[i], 0};
    llama_token_data_array array{data_.data(), data_.size(), -1, false};
    llama_sampler_apply(chain_.get(), &array);
    const Token token = array.data[array.selected].id;
    llama_sampler_accept(chain_.get(), token);
    return token;
  }

 private:
  void add(llama_sampler* sampler) { llama_sampler_chain_add(chain_.get(), sampler); }

  std::unique_ptr<llama_sampler, Free> chain_;
  std::vector<llama_token_data> data_;
};

void bench_row(const std::string& name, SamplingParams params, std::vector<Row>& rows,
               int n_logprobs = -1, const RowKernels& kernels = row_kernels()) {
  const auto n_vocab = static_cast<int>(rows.front().size());
  const std::vector<Token> prompt = make_prompt(rows.front().size());
  VendoredChain vendored(params, n_vocab, prompt);
  params = normalized(params);
  FusedSampler fused(params, LogitEdits({}, params, params.repeat_last_n, prompt), 1, kernels);
  RowScratch scratch;
  size_t ours = 0;
  size_t theirs = 0;
  compare(
      std::to_string(n_vocab) + " " + name,
      [&] { return fused.sample(rows[ours++ % rows.size()], n_logprobs, scratch).token; },
      [&] { return vendored.sample(rows[theirs++ % rows.size()]); });
}

SamplingParams only_temperature() {
  SamplingParams params;
  params.top_k = 0;
  params.top_p = 1;
  params.min_p = 0;
  return params;
}

}  // namespace

void bench_sampler() {
  print_heading(std::string("sampler (") + row_kernels().name + ")", "vendored");
  for (const size_t n_vocab : {49152, 262144}) {
    std::vector<Row> rows = make_rows(n_vocab, 14.0F);
    SamplingParams greedy;
    greedy.temperature = 0;
    SamplingParams repeat;
    repeat.repeat_penalty = 1.1F;
    SamplingParams nucleus = only_temperature();
    nucleus.top_p = 0.95F;
    bench_row("greedy", greedy, rows);
    bench_row("default (top_k 40, top_p .95, min_p .05)", {}, rows);
    bench_row("default, repeat_penalty 1.1", repeat, rows);
    bench_row("default, logprobs (vendored without)", {}, rows, 0);
    bench_row("default, 5 logprobs (vendored without)", {}, rows, 5);
    bench_row("top_p .95 alone", nucleus, rows);
    std::vector<Row> flat_rows = make_rows(n_vocab, 0.0F);
    bench_row("top_p .95 alone, flat rows", nucleus, flat_rows);
    bench_row("temperature alone", only_temperature(), rows);
    SamplingParams mirostat = only_temperature();
    mirostat.mirostat = 2;
    bench_row("mirostat 2", mirostat, rows);
    for (const Rung rung : {Rung::kStock, Rung::kAvx2, Rung::kAvx512Bw}) {
      if (!can_run(rung)) continue;
      const RowKernels& kernels = row_kernels(rung);
      const std::string name = std::string(", ") + kernels.name;
      bench_row("default" + name, {}, rows, -1, kernels);
      bench_row("temperature alone" + name, only_temperature(), rows, -1, kernels);
    }
  }
}

}  // namespace pyserve::bench
