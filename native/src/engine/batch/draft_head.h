// A head that reads the model's states and guesses how answers go on: MTP or EAGLE3.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "engine/batch/guesser.h"
#include "kv/paired_memory.h"
#include "kv/state_rows.h"
#include "llama/context/context.h"
#include "llama/context/head_context.h"
#include "llama/model/model.h"
#include "pyserve/config.h"
#include "sample/row/scan.h"
#include "sched/draft/guess_record.h"
#include "sched/step/recent.h"

namespace pyserve {

// Of the token at position p it computes what the token and the model's state of p-1 tell:
//
//   position    0    1       2       ...
//   token            t1      t2
//   state            of t0   of t1
//
// So it can follow the model only up to the last known token, one step later. It reads prompts as
// the model computes them; an answer's tokens when it guesses next, or when the request leaves what
// it has computed to others.
// Thread: engine thread only.
class DraftHead final : public Guesser {
 public:
  // own: the model of an EAGLE3 head; nullptr: MTP. The context keeps what it needs from now on.
  // The model and the context must outlive it. Throws EngineError(kModelLoad).
  DraftHead(const Model& model, Context& target, const EngineConfig& config,
            std::unique_ptr<const Model> own);

  // The memory of both. Whoever changes the model's uses this one.
  PairedMemory& memory() { return memory_; }

  // The model has computed these.
  void observe(const std::vector<BatchItem>& items);
  // Reads these, all that the model has computed, if much of it is new.
  void read_prompt(SeqId seq_id, TokenSpan computed);
  // Reads them, for they will be shared.
  void read(SeqId seq_id, TokenSpan computed);

  std::vector<Proposal> guess(const std::vector<GuessWish>& wishes) override;
  DraftKind kind() const override { return kind_; }
  double chance() const override { return record_.chance(); }
  double guess_ms(int n_wishes) const override;
  int64_t kv_bytes() const override { return context_.kv_bytes(); }
  int64_t compute_bytes() const override { return context_.compute_bytes(); }
  int64_t weight_bytes() const override;

 private:
  static constexpr size_t kBuckets = 5;

  // The last guess for a sequence.
  struct Guess {
    size_t n_known = 0;
    Token last_known = 0;
    std::vector<Token> tokens;
  };
  // A wish that is worked on.
  struct Work {
    const GuessWish* wish;
    Proposal* proposal;
    std::vector<float> state;  // before `token`
    Token token;               // the last one
    bool is_open;
  };

  void add_unread(SeqId seq_id, TokenSpan tokens, int end, std::vector<HeadItem>& items);
  void learn(const GuessWish& wish);
  std::optional<Work> begin_work(const GuessWish& wish, Proposal& proposal);
  bool guess_next(std::vector<Work>& works, int n_ahead);
  void take(Work& work, int index);
  Token best_token(int index, double& likelihood);
  bool decode(const std::vector<HeadItem>& items, bool wants_outputs);
  static size_t bucket(size_t n_wishes);

  const EngineConfig config_;
  const int n_vocab_;
  const DraftKind kind_;
  const std::unique_ptr<const Model> own_;
  Context& target_;
  HeadContext context_;
  StateRows rows_;
  PairedMemory memory_;
  std::vector<Guess> last_;  // of sequences
  std::vector<float> row_;
  RowScratch scratch_;
  GuessRecord record_;
  std::array<Recent<15>, kBuckets> times_;  // of one token for so many requests: 1, 2-3, 4-7, ...
};

}  // namespace pyserve
