#include "pyserve/engine.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/kernel_rung.h"
#include "engine/preparation/preparation.h"
#include "engine/preparation/prompt_thread.h"
#include "engine/request/cache_key.h"
#include "engine/request/registry.h"
#include "engine/step_loop.h"
#include "ladder/use_kernels.h"
#include "llama/model/model.h"
#include "sched/draft/kinds.h"
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
  check_range("n_draft_min", config.n_draft_min, 0, 1 << 20);
  check_range("n_draft_max", config.n_draft_max, 0, 1 << 20);
  check_range("n_queue_max", config.n_queue_max, 0, 1 << 20);
  parse_draft_kinds(config.spec_type);
  return config;
}

constexpr size_t kMaxShownTemplateBytes = 1024 * 1024;
constexpr size_t kLongTextBytes = 64 * 1024;

// The source of a template, "" if it is too long to show.
std::string shown(const std::string& source) {
  return source.size() <= kMaxShownTemplateBytes ? sanitize_utf8(source) : std::string();
}

// Our kernels compute a token to the same bits whatever else is in its step. With llama.cpp's,
// steps of several tokens round otherwise, so answers that nothing is known of go without, unless
// somebody has asked for drafts.
DraftRules draft_rules(const EngineConfig& config) {
  const DraftKinds kinds = parse_draft_kinds(config.spec_type);
  DraftRules rules;
  rules.n_max = config.is_deterministic || kinds.is_none ? 0 : config.n_draft_max;
  rules.has_repetitions = kinds.has_repetitions;
  rules.is_for_all = rung_in_force() != Rung::kStock || !config.draft_model_path.empty() ||
                     kinds.mtp == DraftWish::kYes;
  return rules;
}

}  // namespace

struct Engine::Impl {
  explicit Impl(const EngineConfig& engine_config)
      : config(checked(engine_config)),
        begin(Clock::now()),
        model(config, wants_own_head(config) ? ModelUse::kTextAndHead : ModelUse::kText),
        registry(static_cast<size_t>(config.n_seq_max) + config.n_queue_max),
        loop(model, config, registry),
        load_ms(elapsed_ms(begin, Clock::now())),
        preparation(model, config.chat_template, loop.context().n_ctx(), draft_rules(config)),
        engine_thread([this] { loop.run(); }) {}

  void stop();
  void prepare(std::shared_ptr<Ticket> ticket, Request request);
  PromptThread& thread_for(size_t n_text_bytes);

  const EngineConfig config;
  const TimePoint begin;
  const Model model;
  Registry registry;
  StepLoop loop;
  const double load_ms;
  PromptThread prompt_thread;
  PromptThread long_texts;  // seconds of work, for which short prompts do not wait
  Preparation preparation;
  std::thread engine_thread;
};

Engine::Engine(const EngineConfig& config) {
  use_kernels(config.kernels);
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
  impl_->preparation.check_text(text.size());
  return impl_->thread_for(text.size()).run([&] {
    return impl_->preparation.tokenizer().tokenize(text, add_special, parse_special);
  });
}

std::string Engine::detokenize(const std::vector<Token>& tokens) {
  return impl_->preparation.tokenizer().detokenize(tokens);
}

std::vector<std::string> Engine::pieces(const std::vector<Token>& tokens) {
  return impl_->preparation.tokenizer().pieces(tokens);
}

std::vector<std::string> Engine::control_texts() const {
  std::vector<std::string> texts;
  for (SpecialToken& special : impl_->model.special_tokens()) {
    texts.push_back(std::move(special.text));
  }
  return texts;
}

std::string Engine::render(const ChatPrompt& prompt) {
  return impl_->thread_for(text_bytes(prompt)).run([&] {
    return impl_->preparation.render(prompt);
  });
}

std::vector<Token> Engine::tokenize_chat(const ChatPrompt& prompt) {
  Request request;
  request.prompt = prompt;
  return impl_->thread_for(text_bytes(prompt)).run([&] {
    return impl_->preparation.prompt_tokens(request, /*must_fit=*/false);
  });
}

std::vector<Token> Engine::tokenize_segments(const SegmentPrompt& prompt) {
  Request request;
  request.prompt = prompt;
  return impl_->thread_for(text_bytes(request)).run([&] {
    return impl_->preparation.prompt_tokens(request, /*must_fit=*/false);
  });
}

void Engine::clear_prefixes() { impl_->loop.clear_prefixes(); }

PrefixChanges Engine::take_prefix_changes(double timeout_ms) {
  BlockLog* log = impl_->loop.blocks();
  PYSERVE_CHECK(log != nullptr);
  BlockChanges told = log->take_all(timeout_ms);
  if (told.is_over) throw EngineError(ErrorCode::kUnavailable, "the engine has been stopped");
  PrefixChanges changes{told.is_reset, {}};
  for (BlockChange& change : told.changes) {
    CacheKey key = read_cache_key(change.key, [this](const std::string& identity) {
      const auto& adapters = impl_->model.adapters();
      const auto it = std::ranges::find(adapters, identity, &Adapter::identity);
      return static_cast<int>(it - adapters.begin());
    });
    changes.blocks.push_back({change.is_stored, std::move(key.adapters), std::move(key.tenant),
                              std::move(key.cache_salt), change.parent, std::move(change.hashes),
                              std::move(change.tokens)});
  }
  return changes;
}

ModelInfo Engine::info() const {
  ModelInfo info = impl_->model.info();
  info.kernels = name_of(rung_in_force());
  info.n_ctx = impl_->loop.context().n_ctx();
  info.n_pooled = impl_->loop.n_pooled();
  info.n_seq_max = impl_->config.n_seq_max;
  info.n_threads = impl_->config.n_threads;
  info.n_threads_batch = impl_->config.n_threads_batch;
  info.n_kv = impl_->loop.context().n_kv();
  info.cache_type_k = impl_->config.cache_type_k;
  info.cache_type_v = impl_->config.cache_type_v;
  info.kv_bytes = impl_->loop.context().kv_bytes();
  info.compute_bytes = impl_->loop.context().compute_bytes();
  if (const Guesser* guesser = impl_->loop.guesser(); guesser != nullptr) {
    info.guesser = name_of(guesser->kind());
    info.size_bytes += guesser->weight_bytes();
    info.kv_bytes += guesser->kv_bytes();
    info.compute_bytes += guesser->compute_bytes();
  }
  const TemplateSources sources = template_sources(impl_->model, impl_->config.chat_template);
  info.has_chat_template = !sources.chat.empty();
  info.chat_template = shown(sources.chat);
  info.tool_template = shown(sources.tools);
  info.rag_template = shown(sources.documents);
  info.bos_token = sanitize_utf8(special_text(impl_->model, impl_->model.bos()));
  info.eos_token = sanitize_utf8(special_text(impl_->model, impl_->model.eos()));
  info.load_ms = impl_->load_ms;
  return info;
}

EngineStats Engine::stats() const {
  EngineStats stats = impl_->loop.stats();
  for (const PromptThread* thread : {&impl_->prompt_thread, &impl_->long_texts}) {
    stats.stalled_ms = std::max(stats.stalled_ms, thread->stalled_ms());
  }
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
  if (loop.blocks() != nullptr) loop.blocks()->close();
  registry.close_outbox();
}

void Engine::Impl::prepare(std::shared_ptr<Ticket> ticket, Request request) {
  try {
    if (ticket->is_cancelled) {
      throw EngineError(ErrorCode::kCancelled, "the request was cancelled");
    }
    std::unique_ptr<PreparedRequest> prepared = preparation.prepare(std::move(request));
    registry.publish({{ticket->id, AcceptedEvent{static_cast<int>(prepared->tokens.size())}}});
    prepared->ticket = ticket;
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

PromptThread& Engine::Impl::thread_for(size_t n_text_bytes) {
  return n_text_bytes > kLongTextBytes ? long_texts : prompt_thread;
}

}  // namespace pyserve
