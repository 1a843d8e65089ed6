#include "llama/tokenizer.h"

#include <climits>

#include "llama.h"
#include "pyserve/error.h"
#include "text/utf8.h"

namespace pyserve {

std::vector<Token> tokenize(const Model& model, std::string_view text, bool add_special,
                            bool parse_special) {
  if (text.size() > INT_MAX / 2) {
    throw EngineError(ErrorCode::kInvalidRequest,
                      "text of " + std::to_string(text.size()) + " bytes is too long to tokenize");
  }
  const auto call = [&](std::vector<Token>& out) {
    return llama_tokenize(model.vocab(), text.data(), static_cast<int32_t>(text.size()), out.data(),
                          static_cast<int32_t>(out.size()), add_special, parse_special);
  };
  std::vector<Token> tokens(text.size() + 16);  // hardly ever more: long texts are worth one pass
  int32_t n = call(tokens);
  if (n < 0 && n != INT32_MIN) {
    tokens.resize(-n);
    n = call(tokens);
  }
  if (n < 0) throw EngineError(ErrorCode::kInvalidRequest, "the text cannot be tokenized");
  tokens.resize(n);
  return tokens;
}

Tokenizer::Tokenizer(const Model& model) : model_(model), splitter_(model.special_tokens()) {}

std::vector<Token> Tokenizer::tokenize_prompt(const std::vector<PromptPart>& parts,
                                              bool add_bos) const {
  std::vector<Token> tokens;
  for (const SpecialSplitter::Piece& piece : splitter_.split(parts)) {
    if (const Token* special = std::get_if<Token>(&piece)) {
      tokens.push_back(*special);
      continue;
    }
    const std::vector<Token> plain = tokenize(std::get<std::string>(piece), false, false);
    tokens.insert(tokens.end(), plain.begin(), plain.end());
  }
  const bool has_bos = !tokens.empty() && tokens.front() == model_.bos();
  if (add_bos && model_.adds_bos() && !has_bos) tokens.insert(tokens.begin(), model_.bos());
  return tokens;
}

std::string Tokenizer::detokenize(const std::vector<Token>& tokens) const {
  check_tokens(tokens);
  std::string bytes;
  for (const Token token : tokens) bytes += model_.piece(token, true);
  return sanitize_utf8(bytes);
}

std::vector<std::string> Tokenizer::pieces(const std::vector<Token>& tokens) const {
  check_tokens(tokens);
  std::vector<std::string> pieces;
  pieces.reserve(tokens.size());
  for (const Token token : tokens) pieces.push_back(model_.piece(token, true));
  return pieces;
}

void Tokenizer::check_tokens(const std::vector<Token>& tokens) const {
  const int n_vocab = model_.n_vocab();
  for (const Token token : tokens) {
    if (token >= 0 && token < n_vocab) continue;
    throw EngineError(ErrorCode::kInvalidRequest, "token id " + std::to_string(token) +
                                                      " is not in the vocabulary of " +
                                                      std::to_string(n_vocab) + " tokens");
  }
}

}  // namespace pyserve
