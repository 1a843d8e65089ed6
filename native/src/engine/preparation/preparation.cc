#include "engine/preparation/preparation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "pyserve/error.h"

namespace pyserve {
namespace {

constexpr size_t kMaxTextBytes = 2 * 1024 * 1024;
constexpr int kMaxRowFloats = 4 * 1024 * 1024;  // 16 MiB; a frame to another process has more

EngineError too_long(const char* about, int n_prompt, int n_ctx, bool is_pooled) {
  ErrorInfo info;
  info.code = ErrorCode::kContextLengthExceeded;
  info.message = std::string("the prompt has ") + about + std::to_string(n_prompt) +
                 " tokens, the context holds " + std::to_string(n_ctx) +
                 (is_pooled ? "" : " including at least one token of the answer");
  info.details = {{"n_prompt_tokens", n_prompt}, {"n_ctx", n_ctx}};
  return EngineError(std::move(info));
}

// Throws for a request that is for another kind of model.
void check_kind(const Model& model, const Request& request) {
  const bool has_head = model.rank_head().n_out() > 0;
  const char* message = nullptr;
  if (request.wants_ranks && !has_head) {
    message = "the model has no ranking head: it does not rank texts by itself";
  } else if (request.wants_embedding && model.is_ranker()) {
    message = "the model ranks texts and has no embeddings";
  } else if (!request.is_pooled() && has_head) {
    message = "the model ranks texts: it cannot generate any";
  } else if (!request.is_pooled() && model.is_bidirectional()) {
    message = "the model only makes embeddings: it cannot generate text";
  }
  if (message == nullptr) return;
  throw EngineError(ErrorInfo{ErrorCode::kInvalidRequest, message, "model", {}});
}

ChatTemplate make_template(const Model& model, const std::string& source) {
  return ChatTemplate(source, special_text(model, model.bos()), special_text(model, model.eos()),
                      model.special_tokens());
}

std::optional<ChatTemplate> make_variant(const Model& model, const std::string& source) {
  if (source.empty()) return std::nullopt;
  return make_template(model, source);
}

}  // namespace

size_t text_bytes(const ChatPrompt& prompt) {
  return prompt.messages_json.size() + prompt.tools_json.size() + prompt.kwargs_json.size() +
         prompt.documents_json.size();
}

size_t text_bytes(const Request& request) {
  size_t n_bytes = request.draft.size();
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) n_bytes += text_bytes(*chat);
  if (const auto* plain = std::get_if<TextPrompt>(&request.prompt)) n_bytes += plain->text.size();
  if (const auto* prompt = std::get_if<SegmentPrompt>(&request.prompt)) {
    for (const auto& [text, is_input] : prompt->segments) n_bytes += text.size();
  }
  return n_bytes;
}

std::string special_text(const Model& model, Token token) {
  return token < 0 ? std::string() : model.piece(token, true);
}

TemplateSources template_sources(const Model& model, const std::string& chat_template) {
  if (!chat_template.empty()) return {chat_template, "", ""};
  return {model.chat_template(), model.chat_template("tool_use"), model.chat_template("rag")};
}

Preparation::Preparation(const Model& model, const std::string& chat_template, int n_ctx,
                         const DraftRules& draft_rules)
    : model_(model),
      n_ctx_(n_ctx),
      draft_rules_(draft_rules),
      tokenizer_(model),
      chat_template_(make_template(model, template_sources(model, chat_template).chat)),
      tool_template_(make_variant(model, template_sources(model, chat_template).tools)),
      rag_template_(make_variant(model, template_sources(model, chat_template).documents)),
      dry_breakers_(model, tokenizer_),
      grammars_(model) {
  if (chat_template.empty() || chat_template_.defect().empty()) return;
  throw EngineError(ErrorCode::kModelLoad, chat_template_.defect());
}

const ChatTemplate& Preparation::template_for(const ChatPrompt& prompt) const {
  if (tool_template_ && !prompt.tools_json.empty()) return *tool_template_;
  return rag_template_ && !prompt.documents_json.empty() ? *rag_template_ : chat_template_;
}

std::unique_ptr<PreparedRequest> Preparation::prepare(Request request) {
  check_kind(model_, request);
  check_adapters(request.adapters);
  auto prepared = std::make_unique<PreparedRequest>();
  prepared->tokens = prompt_tokens(request, /*must_fit=*/true);
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    for (std::string& stop : template_for(*chat).stop_strings()) {
      request.stop.push_back(std::move(stop));
    }
  }
  check_length(prepared->tokens, request.is_pooled());
  check_rows(request.n_logit_rows, prepared->tokens.size());
  std::vector<Token> biased;
  for (const auto& [token, bias] : request.sampling.logit_bias) biased.push_back(token);
  tokenizer_.check_tokens(biased);
  tokenizer_.check_tokens(request.stop_token_ids);
  if (request.sampling.allowed_token_ids) {
    tokenizer_.check_tokens(*request.sampling.allowed_token_ids);
  }
  prepared->banned_sequences = tokens_of(request.sampling.bad_words);
  check_said(prepared->tokens.size(), request.said);
  request.prompt = TokenPrompt{};
  check_text(request.draft.size());
  prepared->draft = make_draft(request, prepared->tokens);
  request.draft.clear();
  prepared->grammar = grammars_.get(request.grammar);
  if (!request.stop.empty()) prepared->shown_grammar = grammars_.get(request.grammar);
  if (request.thinking.max_tokens >= 0) prepared->thinking_end = end_of(request.thinking);
  request.grammar.clear();
  prepared->dry_breakers = dry_breakers_.get(request.sampling);
  prepared->request = std::move(request);
  return prepared;
}

// What is said when the limit is reached.
std::vector<Token> Preparation::end_of(const ThinkingLimit& limit) const {
  check_text(limit.message.size());
  std::vector<Token> tokens = tokenizer_.tokenize(limit.message, false, false);
  const std::string gap = limit.message.ends_with('\n') ? "" : "\n";
  const std::vector<Token> end = tokenizer_.tokenize(gap + limit.end + "\n\n", false, true);
  tokens.insert(tokens.end(), end.begin(), end.end());
  return tokens;
}

// How each of `words` may be said, as it is and after a space. Source: bad_words of vLLM.
std::vector<std::vector<Token>> Preparation::tokens_of(
    const std::vector<std::string>& words) const {
  std::vector<std::vector<Token>> sequences;
  for (const std::string& word : words) {
    check_text(word.size());
    sequences.push_back(tokenizer_.tokenize(word, false, false));
    sequences.push_back(tokenizer_.tokenize(" " + word, false, false));
  }
  std::erase_if(sequences, [](const std::vector<Token>& tokens) { return tokens.empty(); });
  return sequences;
}

std::optional<Draft> Preparation::make_draft(const Request& request, TokenSpan prompt) const {
  const int n_most = draft_rules_.n_max;
  const int n_max = request.n_draft_max < 0 ? n_most : std::min(request.n_draft_max, n_most);
  if (n_max == 0 || request.is_pooled() || request.is_deterministic) return std::nullopt;
  const bool is_wanted =
      draft_rules_.is_for_all || request.n_draft_max > 0 || !request.draft.empty();
  if (!is_wanted) return std::nullopt;
  return Draft(prompt, tokenizer_.tokenize(request.draft, false, false), n_max,
               draft_rules_.has_repetitions);
}

// Brings them into the one form that equal sets have.
void Preparation::check_adapters(AdapterSet& adapters) const {
  const auto n_loaded = static_cast<int>(model_.adapters().size());
  for (const auto& [adapter, scale] : adapters) {
    if (adapter >= 0 && adapter < n_loaded && std::isfinite(scale)) continue;
    throw EngineError(ErrorInfo{ErrorCode::kInvalidRequest,
                                "the adapter " + std::to_string(adapter) + " with the scale " +
                                    std::to_string(scale) + " cannot be had, the model has " +
                                    std::to_string(n_loaded) + " adapters",
                                "lora",
                                {}});
  }
  std::erase_if(adapters, [](const AdapterScale& scaled) { return scaled.scale == 0; });
  std::ranges::sort(adapters, {}, &AdapterScale::adapter);
  if (std::ranges::adjacent_find(adapters, {}, &AdapterScale::adapter) == adapters.end()) return;
  throw EngineError(ErrorInfo{ErrorCode::kInvalidRequest, "an adapter is named twice", "lora", {}});
}

std::vector<Token> Preparation::prompt_tokens(Request& request, bool must_fit) const {
  if (auto* tokens = std::get_if<TokenPrompt>(&request.prompt)) {
    tokenizer_.check_tokens(tokens->tokens);
    return std::move(tokens->tokens);
  }
  const std::vector<PromptPart> parts = parts_of(request);
  size_t n_bytes = 0;
  for (const PromptPart& part : parts) n_bytes += part.text.size();
  check_text(n_bytes);
  if (must_fit) check_bytes(n_bytes);
  std::vector<Token> tokens = tokenizer_.tokenize_prompt(parts, true);
  // Models made for vectors and ranks were trained on texts with their end, whose state some look
  // at.
  if (const TokenSpan end = tokenizer_.end();
      request.is_pooled() &&
      !std::ranges::equal(end, TokenSpan(tokens).last(std::min(end.size(), tokens.size())))) {
    tokens.insert(tokens.end(), end.begin(), end.end());
  }
  // An empty text still has a beginning.
  if (tokens.empty())
    tokens.push_back(model_.bos() >= 0 ? model_.bos() : std::max(model_.eos(), 0));
  return tokens;
}

std::vector<PromptPart> Preparation::parts_of(Request& request) const {
  std::vector<PromptPart> parts;
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    check_text(text_bytes(*chat));
    parts = template_for(*chat).render(*chat);
  } else if (auto* segments = std::get_if<SegmentPrompt>(&request.prompt)) {
    for (auto& [text, is_input] : segments->segments) parts.push_back({std::move(text), is_input});
  } else {
    parts.push_back({std::get<TextPrompt>(request.prompt).text, true});
  }
  return parts;
}

std::string Preparation::render(const ChatPrompt& prompt) const {
  check_text(text_bytes(prompt));
  std::string text;
  for (const PromptPart& part : template_for(prompt).render(prompt)) text += part.text;
  return text;
}

void Preparation::check_text(size_t n_bytes) const {
  if (n_bytes <= kMaxTextBytes) return;
  throw EngineError(ErrorCode::kInvalidRequest, "the text has " + std::to_string(n_bytes) +
                                                    " bytes, the limit is " +
                                                    std::to_string(kMaxTextBytes));
}

void Preparation::check_length(const std::vector<Token>& tokens, bool is_pooled) const {
  if (tokens.empty()) throw EngineError(ErrorCode::kInvalidRequest, "the prompt has no tokens");
  const auto n_prompt = static_cast<int>(tokens.size());
  if (n_prompt + (is_pooled ? 0 : 1) <= n_ctx_) return;
  throw too_long("", n_prompt, n_ctx_, is_pooled);
}

void Preparation::check_rows(int n_rows, size_t n_prompt) const {
  const int n_most = std::min(static_cast<int>(n_prompt), kMaxRowFloats / model_.n_vocab());
  if (n_rows >= 0 && n_rows <= std::max(n_most, 1)) return;
  throw EngineError(ErrorInfo{
      ErrorCode::kInvalidRequest,
      std::to_string(n_rows) + " rows of logits are not told: the prompt has " +
          std::to_string(n_prompt) + " tokens, and at most " + std::to_string(std::max(n_most, 1)) +
          " rows of " + std::to_string(model_.n_vocab()) + " are told at once",
      "n_logit_rows",
      {}});
}

void Preparation::check_said(size_t n_prompt, const std::vector<Token>& said) const {
  tokenizer_.check_tokens(said);
  if (said.empty() || n_prompt + said.size() < static_cast<size_t>(n_ctx_)) return;
  throw EngineError(ErrorCode::kInvalidRequest,
                    std::to_string(n_prompt) + " tokens of the prompt and " +
                        std::to_string(said.size()) +
                        " of the answer leave no room in a context of " + std::to_string(n_ctx_));
}

// What cannot fit however it is tokenized is not tokenized: that may take seconds.
void Preparation::check_bytes(size_t n_bytes) const {
  const size_t longest = model_.longest_piece_bytes();
  if (longest == 0) return;
  const auto n_at_least = static_cast<int>(n_bytes / longest);
  if (n_at_least > n_ctx_) throw too_long("at least ", n_at_least, n_ctx_, false);
}

}  // namespace pyserve
