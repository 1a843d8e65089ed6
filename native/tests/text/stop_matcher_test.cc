#include "text/stop_matcher.h"

#include <doctest/doctest.h>

#include "splits.h"

using namespace pyserve;

namespace {

struct Outcome {
  std::string text;
  std::string stop;
  bool operator==(const Outcome&) const = default;
};

Outcome feed_all(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  Outcome outcome;
  for (const std::string& piece : pieces) {
    StopMatcher::Result result = matcher.feed(piece);
    outcome.text += result.text;
    if (result.stop) {
      outcome.stop = *result.stop;
      return outcome;
    }
  }
  outcome.text += matcher.finish();
  return outcome;
}

}  // namespace

TEST_CASE("text ends before the stop string, however it is split") {
  struct Case {
    std::vector<std::string> stops;
    std::string text;
    Outcome expected;
  };
  const std::vector<Case> cases{
      {{"END"}, "one END two", {"one ", "END"}},
      {{"END"}, "one EN two EN", {"one EN two EN", ""}},
      {{"aab"}, "aaab", {"a", "aab"}},
      {{"ab", "abc"}, "xabc", {"x", "ab"}},  // the first to be complete wins
      {{"xyz", "y"}, "xyz", {"x", "y"}},
      {{"bc", "abc"}, "xabc", {"x", "abc"}},  // two end together: the longer wins
      {{"\n\n"}, "a\nb\n\nc", {"a\nb", "\n\n"}},
      {{}, "abc", {"abc", ""}},
      {{""}, "abc", {"abc", ""}},
      {{"\xE2\x82\xAC"}, "5 \xE2\x82\xAC", {"5 ", "\xE2\x82\xAC"}},
  };
  for (const Case& c : cases) {
    for (const auto& split : all_splits(c.text)) CHECK(feed_all(c.stops, split) == c.expected);
  }
}

TEST_CASE("no part of a stop string is released before it is complete") {
  StopMatcher matcher({"STOP"});
  std::string shown;
  for (const char byte : std::string("go STO")) shown += matcher.feed(std::string(1, byte)).text;
  CHECK(shown == "go ");
  CHECK(matcher.feed("P").stop == "STOP");
}

TEST_CASE("what only looked like a stop string is released") {
  StopMatcher matcher({"STOP"});
  CHECK(matcher.feed("STO").text.empty());
  CHECK(matcher.feed("RE").text == "STORE");
  CHECK(matcher.feed("S").text.empty());
  CHECK(matcher.finish() == "S");
}

TEST_CASE("a stop string where the text may not stop is text, however it is split") {
  // Within braces nothing stops.
  const auto read = [](const std::vector<std::string>& pieces) {
    StopMatcher matcher({",", "end"});
    Outcome outcome;
    for (const std::string& piece : pieces) {
      const auto may_stop = [&](std::string_view before) {
        const std::string all = outcome.text + std::string(before);
        return all.find('{') == std::string::npos || all.find('}') != std::string::npos;
      };
      StopMatcher::Result result = matcher.feed(piece, may_stop);
      outcome.text += result.text;
      if (result.stop) {
        outcome.stop = *result.stop;
        return outcome;
      }
    }
    outcome.text += matcher.finish();
    return outcome;
  };
  for (const auto& split : all_splits("{a,b end}, c"))
    CHECK(read(split) == Outcome{"{a,b end}", ","});
  for (const auto& split : all_splits("{a,en")) CHECK(read(split) == Outcome{"{a,en", ""});
  for (const auto& split : all_splits("a,{b")) CHECK(read(split) == Outcome{"a", ","});
}
