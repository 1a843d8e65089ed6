#include "sched/draft/kinds.h"

#include <doctest/doctest.h>

#include "pyserve/error.h"

namespace pyserve {
namespace {

TEST_CASE("all kinds are used that there are, unless some are named") {
  const DraftKinds all = parse_draft_kinds("auto");
  CHECK(all.has_repetitions);
  CHECK(all.mtp == DraftWish::kAuto);
  const DraftKinds named = parse_draft_kinds("draft-mtp,ngram-mod");
  CHECK(named.has_repetitions);
  CHECK(named.mtp == DraftWish::kYes);
  CHECK(named.model == DraftWish::kNo);
  CHECK(named.eagle3 == DraftWish::kNo);
  CHECK_FALSE(parse_draft_kinds("draft-eagle3").has_repetitions);
  CHECK(parse_draft_kinds("none").is_none);
}

TEST_CASE("names that there are not are refused") {
  for (const char* text : {"", ",", "mtp", "draft-mtp,", "draft-mtp,none", "auto,draft-mtp"}) {
    CHECK_THROWS_AS(parse_draft_kinds(text), EngineError);
  }
}

}  // namespace
}  // namespace pyserve
