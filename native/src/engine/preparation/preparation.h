// Prepares a request for the engine thread: renders and tokenizes the prompt, compiles the grammar,
// makes the draft.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/preparation/dry_breaker_cache.h"
#include "engine/preparation/grammar_cache.h"
#include "engine/request/prepared_request.h"
#include "llama/model/model.h"
#include "llama/prompt/chat_template.h"
#include "llama/tokenizer.h"

namespace pyserve {

// The sources of the chat templates in use, "" = none. tools: for chats with tools; documents: for
// those with documents and no tools, where the model file has one for them. A template in place of
// the file's is for all chats.
struct TemplateSources {
  std::string chat;
  std::string tools;
  std::string documents;
};
TemplateSources template_sources(const Model& model, const std::string& chat_template);

// What is drafted.
struct DraftRules {
  int n_max = 0;                // tokens of a draft that a step checks
  bool is_for_all = false;      // not only what a request brings or asks for
  bool has_repetitions = true;  // what prompt and answer have said before
};

// Thread: any with the stack of a PromptThread.
class Preparation {
 public:
  // The model must outlive it. `chat_template`: in place of the model file's, "" = none.
  // Throws EngineError(kModelLoad) when that cannot be used.
  Preparation(const Model& model, const std::string& chat_template, int n_ctx,
              const DraftRules& draft_rules);

  // The request without its ticket. Throws EngineError for all that is wrong with it.
  std::unique_ptr<PreparedRequest> prepare(Request request);

  // The tokens of the request's prompt, which is spent. `must_fit`: a text that is too long for the
  // context however it is tokenized is refused at once.
  std::vector<Token> prompt_tokens(Request& request, bool must_fit) const;
  // The prompt of a conversation as one text.
  std::string render(const ChatPrompt& prompt) const;
  // Throws EngineError(kInvalidRequest).
  void check_text(size_t n_bytes) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  const ChatTemplate& template_for(const ChatPrompt& prompt) const;
  void check_adapters(AdapterSet& adapters) const;
  std::vector<PromptPart> parts_of(Request& request) const;
  std::vector<Token> end_of(const ThinkingLimit& limit) const;
  std::vector<std::vector<Token>> tokens_of(const std::vector<std::string>& words) const;
  std::optional<Draft> make_draft(const Request& request, TokenSpan prompt) const;
  void check_bytes(size_t n_bytes) const;
  void check_length(const std::vector<Token>& tokens, bool is_pooled) const;
  void check_rows(int n_rows, size_t n_prompt) const;
  void check_said(size_t n_prompt, const std::vector<Token>& said) const;

  const Model& model_;
  const int n_ctx_;
  const DraftRules draft_rules_;
  const Tokenizer tokenizer_;
  const ChatTemplate chat_template_;
  // For chats with tools, and with documents, where it is another.
  const std::optional<ChatTemplate> tool_template_;
  const std::optional<ChatTemplate> rag_template_;
  DryBreakerCache dry_breakers_;
  GrammarCache grammars_;
};

// Bytes of text of the request that have to be rendered or tokenized.
size_t text_bytes(const Request& request);
size_t text_bytes(const ChatPrompt& prompt);

// The token as text, "" if there is none.
std::string special_text(const Model& model, Token token);

}  // namespace pyserve
