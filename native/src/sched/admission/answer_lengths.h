// How long answers become, by those that have ended.
#pragma once

#include <array>
#include <cstddef>

namespace pyserve {

// Answers that were cut off by a limit say only that they would have been longer (Kaplan and Meier,
// 1958, section 2). Thread: one at a time.
class AnswerLengths {
 public:
  // An answer has ended after `n_tokens`. has_ended: by itself, not at a limit.
  void push(int n_tokens, bool has_ended);
  size_t n_seen() const { return n_pushed_ < kSize ? n_pushed_ : kSize; }

  // How many tokens more one will have on average that has `n_said` and may have `n_left` more.
  // REQUIRES: n_seen() > 0.
  double expected_more(int n_said, int n_left) const;

 private:
  struct Length {
    int n_tokens = 0;
    bool has_ended = false;
  };
  static constexpr size_t kSize = 64;

  // Beyond all that were seen, by the mean rate of ends.
  double tail(double n_left) const;

  std::array<Length, kSize> lengths_{};  // the last ones
  size_t n_pushed_ = 0;
};

}  // namespace pyserve
