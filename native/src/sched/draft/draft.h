// Speculation without a draft model (prompt lookup): proposes what an answer probably is, because
// much of it is known.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "pyserve/types.h"
#include "sched/draft/ngram_index.h"

namespace pyserve {

// Who says what comes next: a text that is known, what was said before, a smaller model, a head.
enum class DraftKind { kKnown, kRepeated, kModel, kMtp, kEagle3 };

constexpr const char* name_of(DraftKind kind) {
  constexpr std::array kNames = {"known", "ngram", "model", "mtp", "eagle3"};
  return kNames[static_cast<size_t>(kind)];
}

// What probably comes next.
struct Proposal {
  std::vector<Token> tokens;
  std::vector<double> chances;  // that a token and all before it are right: descending
  DraftKind kind = DraftKind::kRepeated;
};

// Follows an answer through a text that is known (an edit's input, a prediction), through its own
// prompt and through what it has said, and proposes the tokens that probably come next.
//
// Where they part it first supposes that one token was replaced, and looks for the answer's tokens
// a little further on; meanwhile for its last tokens anywhere. How often the next token was right
// is counted, whether it was proposed or not, for each length of the match: so what a proposal is
// worth is known before it is tried.
// Proposals say nothing about the answer: whoever uses them checks each one.
// Thread: one at a time.
class Draft {
 public:
  static constexpr int kMaxLength = 15;

  // `known`: what the answer probably is; may be empty. Never proposes more than `n_max` tokens.
  // has_repetitions: also proposes what is not in the known text.
  Draft(TokenSpan prompt, TokenSpan known, int n_max = kMaxLength, bool has_repetitions = true);

  // The most tokens that are ever proposed.
  int n_max() const { return n_max_; }
  // At most `n_left` tokens; none where the answer is somewhere else.
  Proposal propose(int n_left) const;
  // The answer goes on with `token`.
  void accept(Token token);

 private:
  static constexpr int kWindow = 8;   // tokens ahead that are looked at one by one
  static constexpr int kMaxLost = 4;  // tokens until the place is no longer guessed
  static constexpr int kNumStates = 9;

  // How often a place of one kind was right.
  struct Record {
    double n_right = 0;
    double n_seen = 0;
  };
  using Records = std::array<Record, kNumStates>;

  // Where the answer may be. n_matched: tokens before `next` that the answer has just had; 0: it is
  // a guess.
  struct Place {
    bool is_known = true;  // in the known text
    int next = 0;          // what should follow
    int n_matched = 0;
  };

  static Records make_records(const std::array<double, kNumStates>& chances);
  const Records& records(const Place& place) const { return records_[place.is_known ? 0 : 1]; }
  double chance(const Place& place) const;
  int end(const Place& place) const { return place.is_known ? n_known_ : index_.size(); }
  bool is_lost() const { return n_lost_ > kMaxLost || place_.next >= end(place_); }
  void count(bool is_right);
  Place find_again(Token token) const;
  Place guess(Token token) const;

  int n_known_;
  int n_max_;
  bool has_repetitions_;
  NgramIndex index_;  // what is known, a parting, the prompt, the answer
  Place place_;
  int anchor_ = 0;        // where the answer was last seen for certain
  int known_anchor_ = 0;  // the same within what is known
  int n_lost_ = 0;        // tokens since then
  int n_said_ = 0;
  std::array<Records, 2> records_;  // of the known text, and of the rest
};

}  // namespace pyserve
