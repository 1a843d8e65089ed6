#include "llama/tokenizer.h"

#include <algorithm>
#include <climits>

#include "base/pulse.h"
#include "llama.h"
#include "pyserve/error.h"
#include "text/utf8.h"

namespace pyserve {

namespace {

// The vendor ends the process when it lacks the tokens that it is to put around a text.
bool has_frame(const Model& model) {
  const llama_vocab* vocab = model.vocab();
  if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_WPM) {
    return model.bos() >= 0 && llama_vocab_sep(vocab) >= 0;
  }
  return model.adds_bos() == llama_vocab_get_add_bos(vocab) &&
         model.adds_eos() == llama_vocab_get_add_eos(vocab);
}

std::vector<Token> tokenize_piece(const Model& model, std::string_view text, bool add_special,
                                  bool parse_special) {
  beat_thread_pulse();
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

// What the vendor puts around a text.
struct Frame {
  std::vector<Token> begin;
  std::vector<Token> end;
};

Frame frame_of(const Model& model) {
  if (!has_frame(model)) return {};
  const std::vector<Token> tokens = tokenize_piece(model, {}, true, false);
  // The beginning and the end of a text, one of them, or neither.
  const size_t n_begin = tokens.size() == 2 || model.adds_bos() ? 1 : 0;
  const auto end = tokens.begin() + static_cast<ptrdiff_t>(std::min(n_begin, tokens.size()));
  return {{tokens.begin(), end}, {end, tokens.end()}};
}

}  // namespace

std::vector<Token> tokenize(const Model& model, std::string_view text, bool add_special,
                            bool parse_special) {
  if (text.size() > INT_MAX / 2) {
    throw EngineError(ErrorCode::kInvalidRequest,
                      "text of " + std::to_string(text.size()) + " bytes is too long to tokenize");
  }
  add_special = add_special && has_frame(model);
  const TextCutter& cutter = model.text_cutter();
  const std::vector<std::string_view> pieces = cutter.cut(text, parse_special);
  if (pieces.size() <= 1) return tokenize_piece(model, text, add_special, parse_special);
  const Frame frame = add_special ? frame_of(model) : Frame();
  std::vector<Token> tokens = frame.begin;
  std::string_view last;
  std::vector<Token> of_last;  // a run has many equal pieces
  for (const std::string_view piece : pieces) {
    if (piece != last) of_last = tokenize_piece(model, piece, false, parse_special);
    last = piece;
    const size_t n_extra = cutter.n_extra_tokens(text, piece.data() - text.data(), parse_special);
    tokens.insert(tokens.end(), of_last.begin() + n_extra, of_last.end());
  }
  tokens.insert(tokens.end(), frame.end.begin(), frame.end.end());
  return tokens;
}

Tokenizer::Tokenizer(const Model& model)
    : model_(model), splitter_(model.special_tokens()), end_(frame_of(model).end) {}

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
