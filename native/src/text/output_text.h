// Token pieces become the text a client sees: UTF-8 assembly, stop strings, logprobs in step.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyserve/request.h"
#include "text/stop_matcher.h"
#include "text/utf8.h"

namespace pyserve {

// Text and logprobs are released together: a token's logprob leaves with the text it ends in, and
// tokens that lie wholly in a stop string never leave, unless it is shown.
class OutputText {
 public:
  struct Release {
    std::string text;
    std::vector<TokenLogprob> logprobs;
    std::optional<std::string> stop;
  };

  explicit OutputText(std::vector<std::string> stops, bool shows_stop = false)
      : matcher_(std::move(stops)), shows_stop_(shows_stop) {}

  // REQUIRES: no stop string was released yet.
  Release feed(std::string_view piece, std::optional<TokenLogprob> logprob,
               const StopMatcher::MayStop& may_stop = nullptr);

  // There are no more tokens: releases held text, forgets an unfinished character.
  Release finish();

 private:
  struct HeldLogprob {
    size_t begin;  // byte offsets into the assembled text
    size_t end;
    TokenLogprob logprob;
  };

  Release release(std::string text, std::optional<std::string> stop);

  Utf8Assembler assembler_;
  StopMatcher matcher_;
  const bool shows_stop_;
  std::deque<HeldLogprob> held_;
  size_t n_assembled_ = 0;  // bytes that left the assembler
  size_t n_released_ = 0;   // bytes that left the matcher
};

}  // namespace pyserve
