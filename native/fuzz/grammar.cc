// A grammar and an answer: compiled or refused, and a mask says what its tokens say one by one.
#include <cmath>
#include <memory>

#include "fuzz_input.h"
#include "grammar/matcher.h"
#include "pyserve/error.h"

using namespace pyserve;

namespace {

constexpr Token kEnd = 256;
constexpr size_t kMaxAnswerBytes = 64;

std::shared_ptr<const TokenBytes> vocabulary() {
  std::vector<std::string> pieces;
  for (int byte = 0; byte < 256; ++byte) pieces.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* piece : {"", "{\"", "\": ", "true", "12", "é", "ab"}) pieces.push_back(piece);
  return std::make_shared<const TokenBytes>(pieces, std::vector<Token>{kEnd});
}

void check_mask(GrammarMatcher& matcher, size_t n_vocab) {
  std::vector<float> row(n_vocab);
  matcher.mask(row);
  if (!matcher.why_stuck().empty()) return;
  for (size_t i = 0; i < n_vocab; ++i) {
    require(std::isinf(row[i]) != matcher.allows(static_cast<Token>(i)), "the mask is what allows");
  }
}

}  // namespace

PYSERVE_FUZZ_TARGET(grammar) {
  static const auto tokens = vocabulary();
  FuzzInput input(data, n_bytes);
  try {
    auto grammar = std::make_shared<const Grammar>(compile_grammar(input.line()));
    GrammarMatcher matcher(grammar, tokens);
    check_mask(matcher, tokens->n_vocab());
    for (const char byte : input.line(kMaxAnswerBytes)) {
      const Token token = static_cast<uint8_t>(byte);
      if (!matcher.allows(token)) break;
      matcher.forced_text(16);
      matcher.accept(token);
      check_mask(matcher, tokens->n_vocab());
    }
  } catch (const EngineError& error) {
    require(error.info().code == ErrorCode::kInvalidRequest,
            "it is refused as the client's mistake");
  }
  return 0;
}
