#include <doctest/doctest.h>

#include <string>

#include "grammar/grammar.h"
#include "pyserve/error.h"

using pyserve::compile_grammar;

namespace {

std::string refusal(const std::string& text) {
  try {
    compile_grammar(text);
  } catch (const pyserve::EngineError& error) {
    CHECK(error.info().code == pyserve::ErrorCode::kInvalidRequest);
    CHECK(error.info().param == "grammar");
    return error.what();
  }
  return "";
}

std::string repeated(const std::string& text, int n) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("what is written wrong is refused with its line") {
  CHECK(refusal("") == "grammar: there is no rule root");
  CHECK(refusal("a ::= \"x\"") == "grammar: there is no rule root");
  CHECK(refusal("# nothing\n\nroot := \"x\"") == "grammar: ':' is missing in line 3");
  CHECK(refusal("root ::= (\"x\"") == "grammar: ')' is missing in line 1");
  CHECK(refusal("root ::= \"x") != "");
  CHECK(refusal("root ::= [a") != "");
  CHECK(refusal("root ::= []") != "");
  CHECK(refusal("root ::= [z-a]") != "");
  CHECK(refusal("root ::= \"\\q\"") == "grammar: an escape is not known in line 1");
  CHECK(refusal("root ::= \"\\") != "");
  CHECK(refusal("root ::= \"\\x4\"") != "");
  CHECK(refusal("root ::= \"\\uD800\"") != "");
  CHECK(refusal("root ::= \"\\UFFFFFFFF\"") != "");
  CHECK(refusal("root ::= * \"x\"") != "");
  CHECK(refusal("root ::= \"x\"{") != "");
  CHECK(refusal("root ::= <[1]>") == "grammar: tokens are not supported in line 1");
  CHECK(refusal("root ::= a") == "grammar: the rule a is not defined");
  CHECK(refusal("root ::= \"x\"\nroot ::= \"y\"") ==
        "grammar: the rule root is defined again in line 2");
  CHECK(refusal(std::string("root ::= \"x\0y\"", 14)) == "");
}

TEST_CASE("bytes that are not UTF-8 are refused") {
  for (const char* bytes :
       {"\xff", "\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2"}) {
    CHECK(refusal(std::string("root ::= \"") + bytes + "\"") ==
          "grammar: the text is not UTF-8 in line 1");
  }
}

TEST_CASE("left recursion is refused, right recursion is not") {
  CHECK(refusal("root ::= root \"x\" | \"y\"") == "grammar: the rule root is left-recursive");
  CHECK(refusal("root ::= a\na ::= b \"x\"\nb ::= \"\" a | \"y\"") != "");
  CHECK(refusal("root ::= e root\ne ::= \"x\"?") != "");
  CHECK(refusal("root ::= (e root)*\ne ::= f\nf ::= |\"x\"") != "");
  CHECK(refusal("root ::= \"x\" root | \"y\"") == "");
  CHECK(refusal("root ::= \"(\" root \")\" root |") == "");
  CHECK(refusal("root ::= ((\"\")*)*") == "");
}

TEST_CASE("hostile grammars end at a limit") {
  CHECK(refusal("root ::= " + repeated("(", 60000)) ==
        "grammar: more than 128 nested parentheses in line 1");
  CHECK(refusal("root ::= \"x\"{1000000}") == "grammar: more than 65536 repetitions");
  CHECK(refusal("root ::= \"x\"{99999999999999999999}") != "");
  CHECK(refusal("root ::= \"x\"{5,3}") != "");
  CHECK(refusal("root ::= \"" + repeated("x", 60000) + "\"{4096}") == "");
  CHECK(refusal("root ::= " + repeated("\"x\"{4000} ", 100)) == "");
  CHECK(refusal("root ::= (((\"x\"{4000}){4000}){4000}){4000}") == "");
  CHECK(refusal(repeated("a", 70000)) != "");
  std::string rules = "root ::= \"x\"\n";
  for (int i = 0; i < 3000; ++i)
    rules.append("a").append(std::to_string(i)).append(" ::= (\"abc\")*\n");
  CHECK(refusal(rules) == "");
}
