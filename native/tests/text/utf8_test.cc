#include "text/utf8.h"

#include <doctest/doctest.h>

#include "splits.h"

using namespace pyserve;

namespace {

std::string feed_all(const std::vector<std::string>& pieces) {
  Utf8Assembler assembler;
  std::string out;
  for (const std::string& piece : pieces) out += assembler.feed(piece);
  return out;
}

const std::string kReplacement = "\xEF\xBF\xBD";

}  // namespace

TEST_CASE("characters of every length come out whole, however they are split") {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
  for (const auto& split : all_splits(text)) CHECK(feed_all(split) == text);
}

TEST_CASE("no output ever ends inside a character") {
  const std::string text = "\xE2\x82\xAC\xF0\x9F\x98\x80";
  Utf8Assembler assembler;
  std::vector<std::string> outputs;
  for (const char byte : text) outputs.push_back(assembler.feed(std::string(1, byte)));
  CHECK(outputs ==
        std::vector<std::string>{"", "", "\xE2\x82\xAC", "", "", "", "\xF0\x9F\x98\x80"});
}

TEST_CASE("bytes that belong to no character become U+FFFD, however they are split") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"a\xFFz", "a" + kReplacement + "z"},
      {"\x80", kReplacement},
      {"\xC0\xAF", kReplacement + kReplacement},                     // overlong
      {"\xE2\x82z", kReplacement + "z"},                             // cut short
      {"\xED\xA0\x80", kReplacement + kReplacement + kReplacement},  // surrogate
      {"\xF4\x90\x80\x80", kReplacement + kReplacement + kReplacement + kReplacement},
      {"\xF0\x9F\x98\xE2\x82\xAC", kReplacement + "\xE2\x82\xAC"},
  };
  for (const auto& [bytes, expected] : cases) {
    for (const auto& split : all_splits(bytes)) CHECK(feed_all(split) == expected);
  }
}

TEST_CASE("an unfinished character waits and can be dropped") {
  Utf8Assembler assembler;
  CHECK(assembler.feed("x\xE2\x82").size() == 1);
  CHECK(assembler.has_pending());
  assembler.drop_pending();
  CHECK_FALSE(assembler.has_pending());
  CHECK(assembler.feed("y") == "y");
}

TEST_CASE("sanitize_utf8 keeps valid text and replaces an unfinished end") {
  CHECK(sanitize_utf8("").empty());
  CHECK(sanitize_utf8("h\xC3\xA9") == "h\xC3\xA9");
  CHECK(sanitize_utf8("h\xC3") == "h" + kReplacement);
}
