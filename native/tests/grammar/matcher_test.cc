#include "grammar/matcher.h"

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "grammar/utf8_ranges.h"

using namespace pyserve;

namespace {

constexpr Token kEnd = 256;

// One token per byte, the end, one without text, and the given ones.
std::shared_ptr<const TokenBytes> vocabulary(const std::vector<std::string>& more = {}) {
  std::vector<std::string> pieces;
  for (int byte = 0; byte < 256; ++byte) pieces.push_back(std::string(1, static_cast<char>(byte)));
  pieces.push_back("<end>");
  pieces.push_back("");
  pieces.insert(pieces.end(), more.begin(), more.end());
  return std::make_shared<const TokenBytes>(pieces, std::vector<Token>{kEnd});
}

GrammarMatcher matcher(const std::string& text, const std::vector<std::string>& more = {}) {
  return GrammarMatcher(std::make_shared<const Grammar>(compile_grammar(text)), vocabulary(more));
}

enum class Verdict { kNo, kBeginning, kWhole };

Verdict read(const std::string& grammar, const std::string& text) {
  GrammarMatcher matching = matcher(grammar);
  for (const char byte : text) {
    const Token token = static_cast<uint8_t>(byte);
    if (!matching.allows(token)) return Verdict::kNo;
    matching.accept(token);
  }
  return matching.allows(kEnd) ? Verdict::kWhole : Verdict::kBeginning;
}

// What mask() leaves must be what allows() says, one by one.
void check_mask(GrammarMatcher& matching, size_t n_vocab) {
  std::vector<float> row(n_vocab, 1.0F);
  matching.mask(row);
  for (size_t i = 0; i < n_vocab; ++i) {
    CHECK(std::isinf(row[i]) != matching.allows(static_cast<Token>(i)));
  }
}

std::string encode(uint32_t c) {
  std::string out;
  const auto sequences = utf8_ranges(c, c);
  for (const ByteRange& byte : sequences.front()) out += static_cast<char>(byte.low);
  return out;
}

}  // namespace

TEST_CASE("a text is read as the grammar says") {
  const std::string list = "root ::= \"[\" (item (\",\" item)*)? \"]\"\nitem ::= [a-c]+ | root";
  CHECK(read(list, "[]") == Verdict::kWhole);
  CHECK(read(list, "[a,bc,[[],c]]") == Verdict::kWhole);
  CHECK(read(list, "[a,") == Verdict::kBeginning);
  CHECK(read(list, "[a,]") == Verdict::kNo);
  CHECK(read(list, "[]]") == Verdict::kNo);
}

TEST_CASE("a long repetition is a short program") {
  const Grammar grammar = compile_grammar("root ::= (\"a\" | [b-z]{1,3000}){2,60000}");
  CHECK(grammar.program.size() < 20);
}

TEST_CASE("repetitions inside repetitions are counted apart") {
  const std::string text = "root ::= (\"a\"{2,3} \";\"){2} \"b\"{3,} \".\"{0,2}";
  CHECK(read(text, "aa;aaa;bbb") == Verdict::kWhole);
  CHECK(read(text, "aa;aa;bbbbbbb..") == Verdict::kWhole);
  CHECK(read(text, "a;") == Verdict::kNo);
  CHECK(read(text, "aaaa") == Verdict::kNo);
  CHECK(read(text, "aa;b") == Verdict::kNo);
  CHECK(read(text, "aa;aa;bb") == Verdict::kBeginning);
  CHECK(read(text, "aa;aa;bbb...") == Verdict::kNo);
}

TEST_CASE("what is repeated may be empty") {
  const std::string text = "root ::= (\"a\"?){3,5} \";\" (\"b\"*){2,} \".\"";
  CHECK(read(text, ";.") == Verdict::kWhole);
  CHECK(read(text, "aaaaa;bbb.") == Verdict::kWhole);
  CHECK(read(text, "aaaaaa") == Verdict::kNo);
}

TEST_CASE("masks of places far from the limits are those of all such places") {
  const std::vector<std::string> more = {"aa", "aaaa", "a;", "aaa;", ";;"};
  GrammarMatcher matching = matcher("root ::= \"a\"{20,60} \";\"", more);
  for (int i = 0; i < 60; ++i) {
    check_mask(matching, 258 + more.size());
    matching.accept('a');
  }
  check_mask(matching, 258 + more.size());
  CHECK_FALSE(matching.allows('a'));
}

TEST_CASE("repetitions have exactly their bounds") {
  const std::string text = "root ::= \"ab\"{2,4}";
  CHECK(read(text, "ab") == Verdict::kBeginning);
  CHECK(read(text, "abab") == Verdict::kWhole);
  CHECK(read(text, "abababab") == Verdict::kWhole);
  CHECK(read(text, "ababababa") == Verdict::kNo);
  CHECK(read("root ::= \"a\"{3}", "aaa") == Verdict::kWhole);
  CHECK(read("root ::= \"a\"{3}", "aaaa") == Verdict::kNo);
  CHECK(read("root ::= \"a\"{2,}", "aaaaaa") == Verdict::kWhole);
  CHECK(read("root ::= \"a\"{0}", "") == Verdict::kWhole);
  CHECK(read("root ::= \"a\"{0}", "a") == Verdict::kNo);
  CHECK(read("root ::= (\"a\" | \"b\" \"c\")? \"d\"", "bcd") == Verdict::kWhole);
}

TEST_CASE("classes hold characters, not bytes") {
  CHECK(read("root ::= [^\"]", "\xc3\xa4") == Verdict::kWhole);
  CHECK(read("root ::= [^\xc3\xa4]", "\xc3\xa4") == Verdict::kNo);
  CHECK(read("root ::= .", "\xf0\x9f\x98\x80") == Verdict::kWhole);
  CHECK(read("root ::= .", "\xed\xa0\x80") == Verdict::kNo);
  CHECK(read("root ::= .", "\xc0\x80") == Verdict::kNo);
  CHECK(read("root ::= [\\u00e0-\\U0001F600]", "\xf0\x9f\x98\x80") == Verdict::kWhole);
  CHECK(read("root ::= [\\u00e0-\\U0001F600]", "\xf0\x9f\x98\x81") == Verdict::kNo);
  CHECK(read("root ::= [a\\-z]", "-") == Verdict::kWhole);
  CHECK(read("root ::= [a\\-z]", "b") == Verdict::kNo);
}

TEST_CASE("byte ranges of a range of characters match these and no others") {
  const std::pair<uint32_t, uint32_t> ranges[] = {
      {0x41, 0x5A},     {0x70, 0x7FF},     {0x7F, 0x900},        {0x123, 0x4567},
      {0xD000, 0xE001}, {0xFFF0, 0x1000F}, {0x10FFF0, 0x10FFFF}, {0, kMaxCodePoint}};
  for (const auto& [low, high] : ranges) {
    const auto sequences = utf8_ranges(low, high);
    for (uint32_t c = 0; c <= kMaxCodePoint; c += c < 0x11000 || c > 0x10FF00 ? 1 : 997) {
      if (!is_scalar_value(c)) continue;
      const std::string bytes = encode(c);
      int n_matching = 0;
      for (const auto& sequence : sequences) {
        bool is_match = sequence.size() == bytes.size();
        for (size_t i = 0; is_match && i < bytes.size(); ++i) {
          const auto byte = static_cast<uint8_t>(bytes[i]);
          is_match = sequence[i].low <= byte && byte <= sequence[i].high;
        }
        n_matching += is_match ? 1 : 0;
      }
      REQUIRE(n_matching == (low <= c && c <= high ? 1 : 0));
    }
  }
}

TEST_CASE("a mask holds what is allowed") {
  const std::vector<std::string> more{"[", "[a", "[a,", "[ab]", "a,b",
                                      ",", "]x", "[ax", "[a]",  "b]"};
  GrammarMatcher matching = matcher("root ::= \"[\" [ab]* (\",\" [ab]+)* \"]\"", more);
  const size_t n_vocab = 258 + more.size();
  check_mask(matching, n_vocab);
  matching.accept(258 + 1);  // [a
  check_mask(matching, n_vocab);
  matching.accept(258 + 4);  // a,b
  check_mask(matching, n_vocab);
  CHECK(!matching.is_complete());
  matching.accept(258 + 9);  // b]
  check_mask(matching, n_vocab);
  CHECK(matching.is_complete());
}

TEST_CASE("the end is allowed where the answer is whole, empty tokens never are") {
  GrammarMatcher matching = matcher("root ::= \"a\"*");
  CHECK(matching.allows(kEnd));
  CHECK(!matching.allows(257));
  CHECK(!matching.is_complete());
  matching.accept('a');
  matching.accept(kEnd);
  CHECK(matching.allows('a'));
}

TEST_CASE("a long answer forgets states and goes on") {
  GrammarMatcher matching = matcher("root ::= \"(\" root \")\" | \"x\"");
  constexpr int kDepth = 20000;
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(matching.allows('('));
    matching.accept('(');
  }
  matching.accept('x');
  for (int i = 0; i < kDepth; ++i) {
    REQUIRE(!matching.allows(kEnd));
    REQUIRE(matching.allows(')'));
    matching.accept(')');
  }
  CHECK(matching.is_complete());
}

TEST_CASE("a grammar with too many readings is given up") {
  std::string text = "root ::= a0\n";
  const auto rule = [](int i) { return std::string("a").append(std::to_string(i)); };
  for (int i = 0; i < 60; ++i) {
    text += rule(i) + " ::= " + rule(i + 1) + " \"x\" | " + rule(i + 1) + " \"y\"\n";
  }
  text += "a60 ::= \"z\"\n";
  GrammarMatcher matching = matcher(text);
  CHECK(!matching.allows('z'));
  CHECK(matching.why_stuck().find("too long") != std::string::npos);
}

TEST_CASE("a grammar that no token continues is stuck") {
  const auto tokens = std::make_shared<const TokenBytes>(std::vector<std::string>{"a", "</s>"},
                                                         std::vector<Token>{1});
  GrammarMatcher matching(std::make_shared<const Grammar>(compile_grammar("root ::= \"ab\"")),
                          tokens);
  std::vector<float> row(2);
  matching.mask(row);
  CHECK(matching.why_stuck().empty());
  matching.accept(0);
  matching.mask(row);
  CHECK(!matching.why_stuck().empty());
}

TEST_CASE("the text that must come next ends where there is a choice") {
  GrammarMatcher matching = matcher("root ::= \"ab\" (\"cde\" | \"cdf\") \"gh\"");
  CHECK(matching.forced_text(100) == "abcd");
  CHECK(matching.forced_text(3) == "abc");
  CHECK_FALSE(matching.is_complete_after("abcd"));
  for (const char byte : std::string("abcde")) matching.accept(static_cast<uint8_t>(byte));
  CHECK(matching.forced_text(100) == "gh");
  CHECK(matching.is_complete_after("gh"));
}

TEST_CASE("nothing must come next where the answer may end") {
  GrammarMatcher matching = matcher("root ::= \"a\" \"b\"?");
  matching.accept('a');
  CHECK(matching.forced_text(100).empty());
}

TEST_CASE("where an answer may end is known ahead, and text goes on as tokens do") {
  GrammarMatcher matching = matcher(R"(root ::= "{" [a-z,]* "}" [ ]?)");
  CHECK(!matching.can_end_after("{a,b"));
  CHECK(matching.can_end_after("{a}"));
  CHECK(!matching.can_end_after("}"));
  matching.accept_text("{a");
  CHECK(!matching.can_end());
  matching.accept('}');
  CHECK(matching.can_end());
  CHECK(matching.can_end_after(" "));
  CHECK(!matching.can_end_after("  "));
}
