#include "pyserve/engine.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "engine/dry_breaker_cache.h"
#include "engine/grammar_cache.h"
#include "engine/prompt_thread.h"
#include "engine/registry.h"
#include "engine/step_loop.h"
#include "kernels/install.h"
#include "llama/chat_template.h"
#include "llama/model.h"
#include "llama/tokenizer.h"
#include "text/utf8.h"

namespace pyserve {
namespace {

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw EngineError(ErrorCode::kInvalidRequest, std::string(name) + " is " + std::to_string(value) +
                                                    ", allowed are " + std::to_string(low) +
                                                    " to " + std::to_string(high));
}

// The vendored library ends the process on values outside its limits.
EngineConfig checked(const EngineConfig& config) {
  constexpr int kMaxContext = 1 << 24;
  check_range("n_ctx", config.n_ctx, 0, kMaxContext);
  check_range("n_kv", config.n_kv, 0, kMaxContext);
  check_range("n_seq_max", config.n_seq_max, 1, 128);
  check_range("n_batch", config.n_batch, 1, 1 << 16);
  check_range("n_threads", config.n_threads, 1, 512);
  check_range("n_threads_batch", config.n_threads_batch, 1, 512);
  check_range("prefix_cache_mib", config.prefix_cache_mib, 0, 1 << 20);
  check_range("n_queue_max", config.n_queue_max, 0, 1 << 20);
  return config;
}

constexpr size_t kMaxShownTemplateBytes = 1024 * 1024;
constexpr size_t kLongTextBytes = 64 * 1024;

size_t n_bytes_of(const ChatPrompt& prompt) {
  return prompt.messages_json.size() + prompt.tools_json.size() + prompt.kwargs_json.size();
}

// Of what has to be tokenized.
size_t text_bytes(const Request& request) {
  size_t n_bytes = request.draft.size();
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) n_bytes += n_bytes_of(*chat);
  if (const auto* plain = std::get_if<TextPrompt>(&request.prompt)) n_bytes += plain->text.size();
  if (const auto* prompt = std::get_if<SegmentPrompt>(&request.prompt)) {
    for (const auto& [text, is_input] : prompt->segments) n_bytes += text.size();
  }
  return n_bytes;
}

std::string special_text(const Model& model, Token token) {
  return token < 0 ? std::string() : model.piece(token, true);
}

EngineError too_long(const char* about, int n_prompt, int n_ctx, bool wants_embedding) {
  ErrorInfo info;
  info.code = ErrorCode::kContextLengthExceeded;
  info.message = std::string("the prompt has ") + about + std::to_string(n_prompt) +
                 " tokens, the context holds " + std::to_string(n_ctx) +
                 (wants_embedding ? "" : " including at least one token of the answer");
  info.details = {{"n_prompt_tokens", n_prompt}, {"n_ctx", n_ctx}};
  return EngineError(std::move(info));
}

EngineError embedding_only_error() {
  return EngineError(ErrorInfo{ErrorCode::kInvalidRequest,
                               "the model only makes embeddings: it cannot generate text",
                               "model",
                               {}});
}

}  // namespace

struct Engine::Impl {
  explicit Impl(const EngineConfig& engine_config)
      : config(checked(engine_config)),
        begin(Clock::now()),
        model(config.model_path, config.use_mmap, config.shown_tokens),
        tokenizer(model),
        dry_breakers(model, tokenizer),
        grammars(model),
        chat_template(model.chat_template(), special_text(model, model.bos()),
                      special_text(model, model.eos()), model.special_tokens()),
        registry(static_cast<size_t>(config.n_seq_max) + config.n_queue_max),
        loop(model, config, registry),
        load_ms(elapsed_ms(begin, Clock::now())),
        engine_thread([this] { loop.run(); }) {}

  void stop();
  void prepare(std::shared_ptr<Ticket> ticket, Request request);
  std::vector<Token> prompt_tokens(Request& request, bool must_fit) const;
  void check_text(size_t n_bytes) const;
  void check_bytes(size_t n_bytes) const;
  void check_said(size_t n_prompt, const std::vector<Token>& said) const;
  PromptThread& thread_for(size_t n_text_bytes);
  void check_length(const std::vector<Token>& tokens, bool wants_embedding) const;

  const EngineConfig config;
  const TimePoint begin;
  const Model model;
  const Tokenizer tokenizer;
  DryBreakerCache dry_breakers;
  GrammarCache grammars;
  const ChatTemplate chat_template;
  Registry registry;
  StepLoop loop;
  const double load_ms;
  PromptThread prompt_thread;
  PromptThread long_texts;  // seconds of work, for which short prompts do not wait
  std::thread engine_thread;
};

Engine::Engine(const EngineConfig& config) {
  install_kernels();
  impl_ = std::make_unique<Impl>(config);
}

Engine::~Engine() { stop(); }

void Engine::submit(Request request) {
  std::shared_ptr<Ticket> ticket = impl_->registry.open(request.id);
  // std::function wants copies; the request is shared instead.
  auto shared = std::make_shared<Request>(std::move(request));
  const bool is_posted =
      impl_->thread_for(text_bytes(*shared)).post([impl = impl_.get(), ticket, shared] {
        impl->prepare(ticket, std::move(*shared));
      });
  if (!is_posted) {
    impl_->registry.fail(*ticket, {ErrorCode::kCancelled, "the engine has been stopped", {}, {}});
  }
}

void Engine::cancel(RequestId id) {
  if (impl_->registry.cancel(id)) impl_->loop.wake();
}

std::vector<Event> Engine::poll(double timeout_ms) {
  return impl_->registry.take_events(timeout_ms);
}

std::vector<Token> Engine::tokenize(const std::string& text, bool add_special, bool parse_special) {
  impl_->check_text(text.size());
  return impl_->thread_for(text.size()).run([&] {
    return impl_->tokenizer.tokenize(text, add_special, parse_special);
  });
}

std::string Engine::detokenize(const std::vector<Token>& tokens) {
  return impl_->tokenizer.detokenize(tokens);
}

std::vector<std::string> Engine::pieces(const std::vector<Token>& tokens) {
  return impl_->tokenizer.pieces(tokens);
}

std::string Engine::render(const ChatPrompt& prompt) {
  impl_->check_text(n_bytes_of(prompt));
  return impl_->thread_for(n_bytes_of(prompt)).run([&] {
    std::string text;
    for (const PromptPart& part : impl_->chat_template.render(prompt)) text += part.text;
    return text;
  });
}

std::vector<Token> Engine::tokenize_chat(const ChatPrompt& prompt) {
  Request request;
  request.prompt = prompt;
  return impl_->thread_for(n_bytes_of(prompt)).run([&] {
    return impl_->prompt_tokens(request, /*must_fit=*/false);
  });
}

std::vector<Token> Engine::tokenize_segments(const SegmentPrompt& prompt) {
  Request request;
  request.prompt = prompt;
  return impl_->thread_for(text_bytes(request)).run([&] {
    return impl_->prompt_tokens(request, /*must_fit=*/false);
  });
}

ModelInfo Engine::info() const {
  ModelInfo info = impl_->model.info();
  info.n_ctx = impl_->loop.context().n_ctx();
  info.n_seq_max = impl_->config.n_seq_max;
  info.n_threads = impl_->config.n_threads;
  info.n_threads_batch = impl_->config.n_threads_batch;
  info.n_kv = impl_->loop.context().n_kv();
  info.cache_type_k = impl_->config.cache_type_k;
  info.cache_type_v = impl_->config.cache_type_v;
  info.kv_bytes = impl_->loop.context().kv_bytes();
  info.compute_bytes = impl_->loop.context().compute_bytes();
  const std::string chat_template = impl_->model.chat_template();
  if (chat_template.size() <= kMaxShownTemplateBytes) {
    info.chat_template = sanitize_utf8(chat_template);
  }
  info.bos_token = sanitize_utf8(special_text(impl_->model, impl_->model.bos()));
  info.eos_token = sanitize_utf8(special_text(impl_->model, impl_->model.eos()));
  info.load_ms = impl_->load_ms;
  return info;
}

EngineStats Engine::stats() const {
  EngineStats stats = impl_->loop.stats();
  const EngineStats ended = impl_->registry.ended();
  stats.n_finished = ended.n_finished;
  stats.n_failed = ended.n_failed;
  stats.n_cancelled = ended.n_cancelled;
  return stats;
}

void Engine::stop() { impl_->stop(); }

void Engine::Impl::stop() {
  registry.close();
  prompt_thread.stop();
  long_texts.stop();
  loop.request_stop();
  if (engine_thread.joinable()) engine_thread.join();
  registry.close_outbox();
}

void Engine::Impl::prepare(std::shared_ptr<Ticket> ticket, Request request) {
  try {
    if (ticket->is_cancelled) {
      throw EngineError(ErrorCode::kCancelled, "the request was cancelled");
    }
    if (model.is_bidirectional() && !request.wants_embedding) throw embedding_only_error();
    auto prepared = std::make_unique<PreparedRequest>();
    prepared->tokens = prompt_tokens(request, /*must_fit=*/true);
    if (std::holds_alternative<ChatPrompt>(request.prompt)) {
      for (std::string& stop : chat_template.stop_strings())
        request.stop.push_back(std::move(stop));
    }
    check_length(prepared->tokens, request.wants_embedding);
    std::vector<Token> biased;
    for (const auto& [token, bias] : request.sampling.logit_bias) biased.push_back(token);
    tokenizer.check_tokens(biased);
    check_said(prepared->tokens.size(), request.said);
    request.prompt = TokenPrompt{};
    check_text(request.draft.size());
    prepared->draft = tokenizer.tokenize(request.draft, false, false);
    request.draft.clear();
    prepared->grammar = grammars.get(request.grammar);
    if (request.thinking.max_tokens >= 0) {
      const std::string end = "\n" + request.thinking.end + "\n\n";
      prepared->thinking_end = tokenizer.tokenize(end, false, true);
    }
    request.grammar.clear();
    registry.publish({{ticket->id, AcceptedEvent{static_cast<int>(prepared->tokens.size())}}});
    prepared->dry_breakers = dry_breakers.get(request.sampling);
    prepared->ticket = ticket;
    prepared->request = std::move(request);
    loop.submit(std::move(prepared));
  } catch (const EngineError& error) {
    registry.fail(*ticket, error.info());
  } catch (const std::exception& error) {
    registry.fail(*ticket, {ErrorCode::kInternal,
                            std::string("the prompt could not be prepared: ") + error.what(),
                            {},
                            {}});
  }
}

std::vector<Token> Engine::Impl::prompt_tokens(Request& request, bool must_fit) const {
  if (auto* tokens = std::get_if<TokenPrompt>(&request.prompt)) {
    tokenizer.check_tokens(tokens->tokens);
    return std::move(tokens->tokens);
  }
  std::vector<PromptPart> parts;
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    check_text(n_bytes_of(*chat));
    parts = chat_template.render(*chat);
  } else if (auto* segments = std::get_if<SegmentPrompt>(&request.prompt)) {
    for (auto& [text, is_input] : segments->segments) parts.push_back({std::move(text), is_input});
  } else {
    parts.push_back({std::get<TextPrompt>(request.prompt).text, true});
  }
  size_t n_bytes = 0;
  for (const PromptPart& part : parts) n_bytes += part.text.size();
  check_text(n_bytes);
  if (must_fit) check_bytes(n_bytes);
  std::vector<Token> tokens = tokenizer.tokenize_prompt(parts, true);
  // Models made for embeddings want their end token, whose state they look at.
  if (request.wants_embedding && model.adds_eos() &&
      (tokens.empty() || tokens.back() != model.eos())) {
    tokens.push_back(model.eos());
  }
  // An empty text still has a beginning.
  if (tokens.empty()) tokens.push_back(model.bos() >= 0 ? model.bos() : std::max(model.eos(), 0));
  return tokens;
}

PromptThread& Engine::Impl::thread_for(size_t n_text_bytes) {
  return n_text_bytes > kLongTextBytes ? long_texts : prompt_thread;
}

void Engine::Impl::check_text(size_t n_bytes) const {
  const size_t most = std::min(prompt_thread.max_text_bytes(), long_texts.max_text_bytes());
  if (n_bytes <= most) return;
  throw EngineError(ErrorCode::kInvalidRequest, "the text has " + std::to_string(n_bytes) +
                                                    " bytes, the limit is " + std::to_string(most));
}

void Engine::Impl::check_length(const std::vector<Token>& tokens, bool wants_embedding) const {
  if (tokens.empty()) throw EngineError(ErrorCode::kInvalidRequest, "the prompt has no tokens");
  const int n_ctx = loop.context().n_ctx();
  const auto n_prompt = static_cast<int>(tokens.size());
  if (n_prompt + (wants_embedding ? 0 : 1) <= n_ctx) return;
  throw too_long("", n_prompt, n_ctx, wants_embedding);
}

void Engine::Impl::check_said(size_t n_prompt, const std::vector<Token>& said) const {
  tokenizer.check_tokens(said);
  const int n_ctx = loop.context().n_ctx();
  if (said.empty() || n_prompt + said.size() < static_cast<size_t>(n_ctx)) return;
  throw EngineError(ErrorCode::kInvalidRequest,
                    std::to_string(n_prompt) + " tokens of the prompt and " +
                        std::to_string(said.size()) +
                        " of the answer leave no room in a context of " + std::to_string(n_ctx));
}

// What cannot fit however it is tokenized is not tokenized: that may take seconds.
void Engine::Impl::check_bytes(size_t n_bytes) const {
  const size_t longest = model.longest_piece_bytes();
  if (longest == 0) return;
  const int n_ctx = loop.context().n_ctx();
  const auto n_at_least = static_cast<int>(n_bytes / longest);
  if (n_at_least > n_ctx) throw too_long("at least ", n_at_least, n_ctx, false);
}

}  // namespace pyserve
