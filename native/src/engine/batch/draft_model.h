// A second, smaller model with the same vocabulary that guesses how answers go on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/batch/guesser.h"
#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"
#include "sample/row/scan.h"
#include "sched/draft/draft.h"
#include "sched/step/recent.h"

namespace pyserve {

// What it has computed for a request is kept as far as the request's tokens are still the same.
// Thread: engine thread only.
class DraftModel final : public Guesser {
 public:
  // Computes on the threads of `target`; `config` is its own. Throws EngineError(kModelLoad) for a
  // model that cannot take back what it has computed.
  DraftModel(const Model& model, const Context& target, const EngineConfig& config,
             std::unique_ptr<const Model> draft);

  std::vector<Proposal> guess(const std::vector<GuessWish>& wishes) override;
  DraftKind kind() const override { return DraftKind::kModel; }
  double chance() const override { return n_right_ / n_seen_; }
  double guess_ms(int n_wishes) const override {
    return times_.size() > 0 ? times_.median() * n_wishes : 0;
  }
  int64_t kv_bytes() const override { return context_.kv_bytes(); }
  int64_t compute_bytes() const override { return context_.compute_bytes(); }
  int64_t weight_bytes() const override { return model_->info().size_bytes; }

 private:
  struct Sequence {
    std::vector<Token> computed;
    size_t n_guessed = 0;  // the last ones of these
  };

  // What follows `tokens`, as long as each is likely enough. Nothing while it still has to read
  // most of them: it reads one batch at a time.
  Proposal guess(SeqId seq_id, TokenSpan tokens, int n_max);
  void learn(const Sequence& sequence, size_t n_same, size_t n_tokens);
  bool read(SeqId seq_id, TokenSpan tokens);
  bool compute(SeqId seq_id, TokenSpan tokens, int n_logits);
  Token best_token(double& chance);

  const EngineConfig config_;
  const std::unique_ptr<const Model> model_;
  Context context_;
  const int n_vocab_;  // tokens that both models have
  std::vector<Sequence> sequences_;
  RowScratch scratch_;
  Recent<15> times_;
  double n_right_ = 2.8;  // as if a few guesses had been seen
  double n_seen_ = 4;
};

}  // namespace pyserve
