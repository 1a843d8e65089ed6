#include "text/output_text.h"

#include <doctest/doctest.h>

using namespace pyserve;

namespace {

TokenLogprob logprob_of(Token token) { return {token, "", -1.0F, {}}; }

std::vector<Token> ids(const std::vector<TokenLogprob>& logprobs) {
  std::vector<Token> out;
  for (const TokenLogprob& logprob : logprobs) out.push_back(logprob.token);
  return out;
}

}  // namespace

TEST_CASE("a token's logprob leaves with its text") {
  OutputText output({"STOP"});
  auto first = output.feed("go ", logprob_of(1));
  CHECK(first.text == "go ");
  CHECK(ids(first.logprobs) == std::vector<Token>{1});
  auto held = output.feed("ST", logprob_of(2));
  CHECK(held.text.empty());
  CHECK(held.logprobs.empty());
  auto both = output.feed("ART", logprob_of(3));
  CHECK(both.text == "START");
  CHECK(ids(both.logprobs) == std::vector<Token>{2, 3});
}

TEST_CASE("tokens that lie wholly in the stop string never leave") {
  OutputText output({"STOP"});
  output.feed("a S", logprob_of(1));
  output.feed("TO", logprob_of(2));
  auto last = output.feed("P!", logprob_of(3));
  CHECK(last.stop == "STOP");
  CHECK(last.text.empty());
  CHECK(ids(last.logprobs) == std::vector<Token>{1});
}

TEST_CASE("a token inside a character leaves no later than the character") {
  OutputText output({});
  std::vector<Token> seen = ids(output.feed("\xE2\x82", logprob_of(1)).logprobs);
  auto rest = output.feed("\xAC", logprob_of(2));
  CHECK(rest.text == "\xE2\x82\xAC");
  for (const Token token : ids(rest.logprobs)) seen.push_back(token);
  CHECK(seen == std::vector<Token>{1, 2});
}

TEST_CASE("finish releases held text and logprobs, and drops half a character") {
  OutputText output({"STOP"});
  output.feed("ST", logprob_of(1));
  output.feed("\xE2\x82", logprob_of(2));
  auto rest = output.finish();
  CHECK(rest.text == "ST");
  CHECK(ids(rest.logprobs) == std::vector<Token>{1, 2});
}

TEST_CASE("a stop string that is shown is text, with the logprobs of its tokens") {
  OutputText output({"STOP"}, true);
  output.feed("a S", logprob_of(1));
  auto last = output.feed("TOP!", logprob_of(2));
  CHECK(last.stop == "STOP");
  CHECK(last.text == "STOP");
  CHECK(ids(last.logprobs) == std::vector<Token>{1, 2});
}
