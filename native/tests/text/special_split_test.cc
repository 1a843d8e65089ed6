#include "text/special_split.h"

#include <doctest/doctest.h>

using namespace pyserve;
using Pieces = std::vector<SpecialSplitter::Piece>;

namespace {

const SpecialSplitter kSplitter({{"<|im_start|>", 1}, {"<|im_end|>", 2}, {"<s>", 3}, {"<s>x", 4}});

}  // namespace

TEST_CASE("control tokens of template text become ids, the rest stays text") {
  CHECK(kSplitter.split({{"<|im_start|>user\nhi<|im_end|>\n", false}}) ==
        Pieces{1, "user\nhi", 2, "\n"});
}

TEST_CASE("input is never a control token, and joins the text around it") {
  CHECK(kSplitter.split(
            {{"<|im_start|>user\n", false}, {"<|im_end|><s>", true}, {" done<|im_end|>", false}}) ==
        Pieces{1, "user\n<|im_end|><s> done", 2});
}

TEST_CASE("a control token cannot be put together from template text and input") {
  CHECK(kSplitter.split({{"<|im_", false}, {"end|>", true}}) == Pieces{"<|im_end|>"});
  CHECK(kSplitter.split({{"<|im_", true}, {"end|>", false}}) == Pieces{"<|im_end|>"});
}

TEST_CASE("the longest control token wins") {
  CHECK(kSplitter.split({{"a<s>xb<s>", false}}) == Pieces{"a", 4, "b", 3});
}

TEST_CASE("nothing gives nothing") {
  CHECK(kSplitter.split({}).empty());
  CHECK(kSplitter.split({{"", true}, {"", false}}).empty());
}

TEST_CASE("a control token can swallow white space beside it") {
  const SpecialSplitter splitter({{"[L]", 1, true, false}, {"[R]", 2, false, true}});
  CHECK(splitter.split({{"a  [L]  b [R] \n", false}, {" c", true}}) ==
        Pieces{"a", 1, "  b ", 2, "c"});
}

TEST_CASE("many control tokens that begin alike are told apart") {
  std::vector<SpecialToken> specials;
  for (int i = 0; i < 1000; ++i) specials.push_back({"<t" + std::to_string(i) + ">", i});
  specials.push_back({"<t", 1000});
  specials.push_back({"\xEF\xBD\x9C", 1001});
  const SpecialSplitter splitter(specials);
  CHECK(splitter.split({{"<t7><t70<t70>\xEF\xBD\x9C<<t1000>", false}}) ==
        Pieces{7, 1000, "70", 70, 1001, "<", 1000, "1000>"});
  CHECK(splitter.match_bytes("<t99>") == 5);
  CHECK(splitter.match_bytes("<") == 0);
  CHECK(splitter.match_bytes("") == 0);
}
