// A second, smaller model with the same vocabulary that guesses how answers go on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "llama/context/context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"
#include "sample/row/scan.h"
#include "sched/draft/draft.h"
#include "sched/step/recent.h"

namespace pyserve {

// It follows the requests by their sequence ids: what it has computed for one is kept as far as the
// request's tokens are still the same. What became of its last guess it sees in the tokens that it
// is asked about next.
// Thread: engine thread only.
class DraftModel {
 public:
  // nullptr when `config` names none. Computes on the threads of `target`, and has a cache as
  // large. Throws EngineError(kModelLoad) for a file that cannot be loaded, another vocabulary, or
  // a model that cannot take back what it has computed.
  static std::unique_ptr<DraftModel> load(const Model& model, const Context& target,
                                          const EngineConfig& config);
  DraftModel(const Model& model, const Context& target, const EngineConfig& config);

  // What follows `tokens`, at most `n_max` tokens, as long as each is likely enough. Nothing while
  // it still has to read most of them: it reads one batch at a time.
  // REQUIRES: !tokens.empty(), 0 <= seq_id < config.n_seq_max.
  Proposal guess(SeqId seq_id, TokenSpan tokens, int n_max);

  // How often a guessed token was right when those before it were.
  double chance() const { return n_right_ / n_seen_; }
  // What one guessed token costs; 0: not known yet.
  double guess_ms() const { return times_.size() > 0 ? times_.median() : 0; }

 private:
  struct Sequence {
    std::vector<Token> computed;
    size_t n_guessed = 0;  // the last ones of these
  };

  void check_vocabulary(const Model& model) const;
  void learn(const Sequence& sequence, size_t n_same, size_t n_tokens);
  bool read(SeqId seq_id, TokenSpan tokens);
  bool compute(SeqId seq_id, TokenSpan tokens, int n_logits);
  Token best_token(double& chance);

  const EngineConfig config_;
  const Model model_;
  Context context_;
  const int n_vocab_;  // tokens that both models have
  std::vector<Sequence> sequences_;
  RowScratch scratch_;
  Recent<15> times_;
  double n_right_ = 2.8;  // as if a few guesses had been seen
  double n_seen_ = 4;
};

}  // namespace pyserve
