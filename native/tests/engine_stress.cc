// Submits, cancels, asks and polls at random from several threads: a target for the sanitizers.
//
//   pyserve_engine_stress MODEL SECONDS SEED [DRAFT_MODEL [ADAPTER...]]
//
// DRAFT_MODEL may be -: none.
// Exit code 0: every request ended exactly once, before the engine was idle or stopped, and what
// was told of prefixes holds together. Keeps prefixes in the folder stress-prefixes, which it
// empties.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kv/block_log.h"
#include "pyserve/engine.h"

namespace pyserve {
namespace {

constexpr int kSubmitters = 3;
constexpr double kPollMs = 20;
constexpr double kStallMs = 60'000;
constexpr auto kRound = std::chrono::seconds(4);
constexpr const char* kPrefixes = "stress-prefixes";

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "engine_stress: %s\n", what.c_str());
  std::_Exit(1);
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(engine_); }
  bool one_in(int n) { return below(n) == 0; }
  float between(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(engine_);
  }
  template <class T>
  const T& pick(const std::vector<T>& values) {
    return values[below(static_cast<int>(values.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

// Which requests have begun and not ended. Thread: any.
class Ledger {
 public:
  void begin(RequestId id) {
    std::lock_guard lock(mutex_);
    open_.insert(id);
  }

  void end(RequestId id) {
    std::lock_guard lock(mutex_);
    if (open_.erase(id) == 0) fail("request " + std::to_string(id) + " ended twice");
    ++n_ended_;
  }

  void expect_open(RequestId id) {
    std::lock_guard lock(mutex_);
    if (!open_.contains(id)) fail("an event after the end of request " + std::to_string(id));
  }

  size_t n_open() {
    std::lock_guard lock(mutex_);
    return open_.size();
  }

  size_t n_ended() {
    std::lock_guard lock(mutex_);
    return n_ended_;
  }

 private:
  std::mutex mutex_;
  std::set<RequestId> open_;
  size_t n_ended_ = 0;
};

// What a gateway knows of the prefixes that an engine keeps.
class KnownBlocks {
 public:
  void take(const PrefixChanges& changes) {
    if (changes.is_reset) known_.clear();
    n_resets_ += changes.is_reset ? 1 : 0;
    for (const PrefixBlocks& blocks : changes.blocks) {
      n_told_ += blocks.hashes.size();
      blocks.is_stored ? add(blocks) : remove(blocks);
    }
  }

  size_t n_told() const { return n_told_; }
  int n_resets() const { return n_resets_; }

 private:
  void add(const PrefixBlocks& blocks) {
    if (blocks.tokens.size() != blocks.hashes.size() * kBlockTokens) fail("a block of other size");
    if (blocks.parent != 0 && !known_.contains(blocks.parent)) fail("a block after an unknown one");
    for (const BlockHash hash : blocks.hashes) {
      if (!known_.insert(hash).second) fail("a block was stored twice");
    }
  }

  void remove(const PrefixBlocks& blocks) {
    for (const BlockHash hash : blocks.hashes) {
      if (known_.erase(hash) == 0) fail("an unknown block has gone");
    }
  }

  std::set<BlockHash> known_;
  size_t n_told_ = 0;
  int n_resets_ = 0;
};

// The rarer samplers, some of them, in any order.
void add_rare_samplers(Random& random, SamplingParams& params) {
  params.typical_p = random.one_in(4) ? random.between(0.01F, 1.0F) : 1.0F;
  params.top_n_sigma = random.one_in(4) ? random.between(0.0F, 3.0F) : -1.0F;
  params.xtc_probability = random.one_in(4) ? random.between(0.0F, 1.0F) : 0.0F;
  params.xtc_threshold = random.between(0.0F, 0.6F);
  params.dynatemp_range = random.one_in(4) ? random.between(0.0F, 2.0F) : 0.0F;
  params.dynatemp_exponent = random.between(0.0F, 10.0F);
  params.min_keep = random.one_in(4) ? random.below(1000) : 0;
  params.dry_multiplier = random.one_in(3) ? random.between(0.0F, 100.0F) : 0.0F;
  params.dry_base = random.between(1.0F, 100.0F);
  params.dry_allowed_length = random.below(4);
  params.dry_penalty_last_n = random.below(100) - 1;
  if (random.one_in(2)) params.dry_sequence_breakers = {"the ", "a", "\xff", "<|im_end|>"};
  params.mirostat = random.one_in(6) ? 1 + random.below(2) : 0;
  params.mirostat_tau = random.between(0.0F, 20.0F);
  params.adaptive_target = random.one_in(6) ? random.between(0.0F, 1.0F) : -1.0F;
  if (!random.one_in(4)) return;
  for (int i = random.below(10); i > 0; --i) {
    std::swap(params.samplers[random.below(10)], params.samplers[random.below(10)]);
  }
}

// What requests may name.
struct Sizes {
  int n_vocab = 0;
  int n_adapters = 0;
};

SamplingParams random_sampling(Random& random, int n_vocab) {
  SamplingParams params;
  if (random.one_in(3)) add_rare_samplers(random, params);
  params.temperature = random.one_in(3) ? 0.0F : random.between(0.1F, 2.0F);
  params.top_k = random.below(50);
  params.top_p = random.between(0.2F, 1.0F);
  params.min_p = random.one_in(2) ? 0.0F : random.between(0.0F, 0.3F);
  params.repeat_penalty = random.one_in(2) ? 1.0F : random.between(0.8F, 1.5F);
  params.repeat_last_n = random.below(66) - 1;
  params.frequency_penalty = random.one_in(2) ? 0.0F : random.between(-1.0F, 1.0F);
  params.presence_penalty = random.one_in(2) ? 0.0F : random.between(-1.0F, 1.0F);
  for (int i = random.below(4); i > 0; --i) {
    params.logit_bias.emplace_back(random.below(n_vocab), random.between(-100.0F, 5.0F));
  }
  if (random.one_in(2)) params.seed = random.below(1000);
  params.ignore_eos = random.one_in(2);
  return params;
}

std::string random_text(Random& random) {
  static const std::vector<std::string> words = {
      "the cat ",   "jumped out ", "of the window ", "a long time ago ", "\xC3\xA9\xE2\x82\xAC ",
      "<|im_end|>", "hello world "};
  // Most start alike, so that prefixes are shared; a few are longer than the context.
  std::string text = random.one_in(3) ? "" : "this is a test of a galaxy far away ";
  const int n_words = random.one_in(20) ? 200 : random.below(30);
  for (int i = 0; i < n_words; ++i) text += random.pick(words);
  return text;
}

// Most can be enforced; some are dictated in part, ambiguous, or left recursive.
std::string random_grammar(Random& random) {
  static const std::vector<std::string> grammars = {
      R"(root ::= "the cat jumped out of the window " [a-z ]{3,20} "\xC3\xA9" | "\xE2\x82\xAC"+)",
      R"(root ::= "{" (pair ("," pair)*)? "}"
         pair ::= "\"" [a-z]{1,4} "\":" (root | [0-9]+))",
      R"(root ::= a a a a
         a ::= "x"* "y"? "x"*)",
      R"(root ::= root "x" | "y")", R"(root ::= [a-z]+ " " root | ".")"};
  std::string grammar = random.pick(grammars);
  // Different texts, so that compiled ones leave the cache.
  return grammar + "\n" + std::string(random.below(12), '#') + "\n";
}

// Some of the adapters, and seldom one that there is not.
AdapterSet random_adapters(Random& random, int n_adapters) {
  AdapterSet adapters;
  for (int adapter = 0; adapter < n_adapters; ++adapter) {
    if (random.one_in(3)) adapters.push_back({adapter, random.below(4) * 0.5F});
  }
  if (random.one_in(200)) adapters.push_back({n_adapters, 1.0F});
  return adapters;
}

Request random_request(Random& random, RequestId id, const Sizes& sizes) {
  const int n_vocab = sizes.n_vocab;
  Request request;
  request.id = id;
  const std::string text = random_text(random);
  switch (random.below(3)) {
    case 0:
      request.prompt = TextPrompt{text};
      break;
    case 1:
      request.prompt =
          ChatPrompt{R"([{"role": "user", "content": ")" + text + R"("}])", {}, {}, {}};
      break;
    default: {
      std::vector<Token> tokens(1 + random.below(80));
      for (Token& token : tokens) token = random.below(n_vocab + (random.one_in(500) ? 9 : 0));
      request.prompt = TokenPrompt{std::move(tokens)};
    }
  }
  request.sampling = random_sampling(random, n_vocab);
  request.max_tokens = random.one_in(8) ? -1 : 1 + random.below(60);
  if (random.one_in(3)) request.stop = {random.pick<std::string>({" the", "e", "cat jumped"})};
  request.n_logprobs = random.one_in(3) ? random.below(6) : -1;
  if (random.one_in(20)) request.max_tokens = 0;
  request.n_prompt_logprobs = random.one_in(6) ? random.below(4) : -1;
  request.n_logit_rows = random.one_in(6) ? random.below(3) : 0;
  request.tenant = random.one_in(2) ? "one" : "two";
  request.priority = random.below(5) - 2;
  if (random.one_in(10)) request.deadline_ms = 1 + random.below(50);
  request.is_deterministic = random.one_in(12);
  request.is_background = random.one_in(4);
  if (random.one_in(4)) request.grammar = random_grammar(random);
  if (random.one_in(3)) request.draft = random_text(random);
  if (random.one_in(3)) request.n_draft_max = random.below(20);
  if (random.one_in(2)) request.adapters = random_adapters(random, sizes.n_adapters);
  request.wants_embedding = random.one_in(10);
  return request;
}

// One engine, from its load to its end, and the threads that use it.
class Round {
 public:
  Round(const EngineConfig& config, uint64_t seed)
      : engine_(config),
        seed_(seed),
        sizes_{engine_.info().n_vocab, static_cast<int>(config.adapter_paths.size())} {}

  const KnownBlocks& blocks() const { return blocks_; }

  // is_drained: end with all requests finished; else stop the engine under them.
  size_t run(Clock::duration duration, bool is_drained) {
    std::thread poller([this] { poll_until_stopped(); });
    std::thread gateway([this] { follow_until_stopped(); });
    std::vector<std::thread> users;
    for (int i = 0; i < kSubmitters; ++i) users.emplace_back([this, i] { submit_and_cancel(i); });
    users.emplace_back([this] { ask(); });
    std::this_thread::sleep_for(duration);
    if (!is_drained) engine_.stop();  // under the users, who must bear it
    is_over_ = true;
    for (std::thread& user : users) user.join();
    if (is_drained) drain();
    engine_.stop();
    poller.join();
    gateway.join();
    if (ledger_.n_open() > 0) fail("requests were left behind by stop()");
    return ledger_.n_ended();
  }

 private:
  void submit_and_cancel(int index) {
    Random random(seed_ * 100 + index);
    RequestId id = static_cast<RequestId>(index + 1) << 32;
    while (!is_over_) {
      const RequestId first = id + 1;
      for (int i = random.below(6); i >= 0; --i) submit(random_request(random, ++id, sizes_));
      if (random.one_in(2)) engine_.cancel(first + random.below(static_cast<int>(id - first) + 1));
      if (random.one_in(4)) engine_.cancel(id - random.below(40));
      std::this_thread::sleep_for(std::chrono::milliseconds(random.below(30)));
    }
  }

  void submit(Request request) {
    const RequestId id = request.id;
    ledger_.begin(id);
    try {
      engine_.submit(std::move(request));
    } catch (const EngineError& error) {
      const ErrorCode code = error.info().code;
      if (code != ErrorCode::kQueueFull && code != ErrorCode::kUnavailable) fail(error.what());
      ledger_.end(id);
    }
  }

  void poll_until_stopped() {
    try {
      while (true) {
        for (const Event& event : engine_.poll(kPollMs)) take(event);
      }
    } catch (const EngineError& error) {
      if (error.info().code != ErrorCode::kUnavailable) fail(error.what());
    }
  }

  // Often too slow, so that what is told is dropped, and told again.
  void follow_until_stopped() {
    Random random(seed_ * 100 + kSubmitters + 1);
    try {
      while (true) {
        blocks_.take(engine_.take_prefix_changes(kPollMs));
        if (random.one_in(20)) std::this_thread::sleep_for(std::chrono::milliseconds(200));
      }
    } catch (const EngineError& error) {
      if (error.info().code != ErrorCode::kUnavailable) fail(error.what());
    }
  }

  void take(const Event& event) {
    ledger_.expect_open(event.id);
    if (const auto* failed = std::get_if<FailedEvent>(&event.body)) {
      if (failed->error.code == ErrorCode::kInternal) fail(failed->error.message);
      ledger_.end(event.id);
    } else if (const auto* delta = std::get_if<DeltaEvent>(&event.body)) {
      if (delta->finish) ledger_.end(event.id);
    }
  }

  void ask() {
    Random random(seed_ * 100 + kSubmitters);
    while (!is_over_) {
      try {
        engine_.detokenize(engine_.tokenize(random_text(random), true, random.one_in(2)));
        engine_.render({R"([{"role": "user", "content": "hi"}])", "", "", ""});
        if (engine_.stats().n_kv_used < 0) fail("negative statistics");
        if (random.one_in(100)) engine_.clear_prefixes();
      } catch (const EngineError& error) {
        if (error.info().code != ErrorCode::kUnavailable) fail(error.what());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(random.below(10)));
    }
  }

  std::string describe() {
    const EngineStats stats = engine_.stats();
    return std::to_string(stats.n_running) + " running, " + std::to_string(stats.n_waiting) +
           " waiting, " + std::to_string(ledger_.n_open()) + " open, " +
           std::to_string(stats.n_steps) + " steps, " + std::to_string(stats.n_kv_used) + " of " +
           std::to_string(stats.n_kv_total) + " cells";
  }

  // Waits as long as the engine makes steps: a loaded machine may need minutes.
  void drain() {
    int64_t n_steps = -1;
    TimePoint stepped_at = Clock::now();
    while (ledger_.n_open() > 0) {
      if (n_steps != engine_.stats().n_steps) {
        n_steps = engine_.stats().n_steps;
        stepped_at = Clock::now();
      }
      if (elapsed_ms(stepped_at, Clock::now()) > kStallMs) fail("it stands still: " + describe());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const EngineStats stats = engine_.stats();
    if (stats.n_running != 0 || stats.n_waiting != 0) fail("idle, but counts: " + describe());
  }

  Engine engine_;
  KnownBlocks blocks_;
  const uint64_t seed_;
  const Sizes sizes_;
  Ledger ledger_;
  std::atomic<bool> is_over_ = false;
};

struct Files {
  std::string model;
  std::string draft_model;
  std::vector<std::string> adapters;
};

// Small enough for a full cache, a full queue and preemption.
EngineConfig crowded(const Files& files, int n_threads) {
  EngineConfig config;
  config.model_path = files.model;
  config.draft_model_path = files.draft_model;
  config.adapter_paths = files.adapters;
  config.n_ctx = 192;
  config.n_kv = 256;
  config.n_seq_max = 6;
  config.n_batch = 32;
  config.n_threads = n_threads;
  config.n_threads_batch = n_threads;
  config.n_queue_max = 16;
  config.prefix_disk_dir = kPrefixes;
  config.prefix_disk_mib = 1;
  config.prefix_disk_min_tokens = 32;
  config.tells_blocks = true;
  return config;
}

}  // namespace
}  // namespace pyserve

int main(int argc, char** argv) {
  if (argc < 4) {
    pyserve::fail("usage: pyserve_engine_stress MODEL SECONDS SEED [DRAFT_MODEL [ADAPTER...]]");
  }
  const auto end = pyserve::Clock::now() + std::chrono::seconds(std::atoi(argv[2]));
  uint64_t seed = std::strtoull(argv[3], nullptr, 10);
  pyserve::Files files{argv[1], "", {}};
  if (argc > 4) {
    files.draft_model = argv[4] == std::string("-") ? "" : argv[4];
    files.adapters.assign(argv + 5, argv + argc);
  }
  std::filesystem::remove_all(pyserve::kPrefixes);
  std::filesystem::create_directory(pyserve::kPrefixes);
  size_t n_ended = 0;
  size_t n_blocks = 0;
  int n_resets = 0;
  int n_rounds = 0;
  do {
    pyserve::Round round(pyserve::crowded(files, 1 + n_rounds / 2 % 2), seed++);
    n_ended += round.run(pyserve::kRound, n_rounds++ % 2 == 0);
    n_blocks += round.blocks().n_told();
    n_resets += round.blocks().n_resets();
  } while (pyserve::Clock::now() < end);
  std::filesystem::remove_all(pyserve::kPrefixes);
  if (n_blocks == 0) pyserve::fail("nothing was told of prefixes");
  std::printf(
      "engine_stress: %d engines, %zu requests, all ended once; %zu blocks told, %d resets\n",
      n_rounds, n_ended, n_blocks, n_resets);
}
