// Text to tokens and back, safe for text that users typed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "llama/model/model.h"
#include "text/special_split.h"

namespace pyserve {

// The vendor's tokenization of `text`. Throws EngineError(kInvalidRequest) if it fails. Any thread.
// Takes up to 6 MiB of stack: see TextCutter.
std::vector<Token> tokenize(const Model& model, std::string_view text, bool add_special,
                            bool parse_special);

// Immutable after construction: any thread. The model must outlive it.
class Tokenizer {
 public:
  explicit Tokenizer(const Model& model);

  // Tokens of a prompt made of template text and input; control tokens come from template text
  // alone. `add_bos` puts BOS in front unless it is there or the model wants none.
  std::vector<Token> tokenize_prompt(const std::vector<PromptPart>& parts, bool add_bos) const;

  // The vendor's tokenization of `text`, as the function above.
  std::vector<Token> tokenize(std::string_view text, bool add_special, bool parse_special) const {
    return pyserve::tokenize(model_, text, add_special, parse_special);
  }

  // What the vendor puts behind a text: an end token, BERT's separator, or nothing.
  TokenSpan end() const { return end_; }

  // Valid UTF-8. Throws EngineError(kInvalidRequest) for ids outside the vocabulary.
  std::string detokenize(const std::vector<Token>& tokens) const;

  // The bytes of each token, control tokens by their names. Throws as detokenize does.
  std::vector<std::string> pieces(const std::vector<Token>& tokens) const;

  // Throws EngineError(kInvalidRequest) unless every id is in the vocabulary.
  void check_tokens(const std::vector<Token>& tokens) const;

 private:
  const Model& model_;
  SpecialSplitter splitter_;
  const std::vector<Token> end_;
};

}  // namespace pyserve
