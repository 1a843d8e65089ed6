// Requests in, events out: plain data, no behaviour.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "pyserve/error.h"
#include "pyserve/types.h"

namespace pyserve {

// How the next token is chosen: llama-server's names and defaults. Neutral values switch a sampler
// off.
struct SamplingParams {
  float temperature = 0.8F;     // <= 0: greedy, ties go to the lowest id
  float dynatemp_range = 0.0F;  // > 0: temperature +- range, by the entropy of the row
  float dynatemp_exponent = 1.0F;
  int top_k = 40;             // <= 0: off
  float top_p = 0.95F;        // 1: off
  float min_p = 0.05F;        // 0: off
  float typical_p = 1.0F;     // 1: off
  float top_n_sigma = -1.0F;  // <= 0: off
  int min_keep = 0;           // typical_p, top_p, min_p and xtc leave at least so many tokens
  float xtc_probability = 0.0F;
  float xtc_threshold = 0.1F;  // > 0.5: off
  float repeat_penalty = 1.0F;
  int repeat_last_n = 64;  // tokens of prompt and answer; -1: the whole context
  float frequency_penalty = 0.0F;
  float presence_penalty = 0.0F;  // both look at the answer alone
  float dry_multiplier = 0.0F;    // 0: off
  float dry_base = 1.75F;
  int dry_allowed_length = 2;
  int dry_penalty_last_n = 64;  // tokens of prompt and answer; -1: the whole context, 0: off
  std::vector<std::string> dry_sequence_breakers{"\n", ":", "\"", "*"};
  int mirostat = 0;  // 1, 2: instead of all filters; penalties and temperature still apply
  float mirostat_tau = 5.0F;
  float mirostat_eta = 0.1F;
  float adaptive_target = -1.0F;  // < 0: off
  float adaptive_decay = 0.9F;
  // llama.cpp's letters, in the order of use; a sampler that is left out is off: penalties e, dry
  // d, top_n_sigma s, top_k k, typ_p y, top_p p, min_p m, xtc x, temperature t, adaptive_p a
  std::string samplers = "edskypmxta";
  std::vector<std::pair<Token, float>> logit_bias;
  std::optional<int64_t> seed;  // none: a random one
  bool ignore_eos = false;
  std::optional<std::vector<Token>> allowed_token_ids;  // no other token is said
  // Neither their tokens nor those of the same with a space before are said in a row.
  std::vector<std::string> bad_words;
};

// One of EngineConfig::adapter_paths, by its index there.
struct AdapterScale {
  int adapter = 0;
  float scale = 1.0F;  // finite; what the adapter adds is multiplied by it

  bool operator==(const AdapterScale&) const = default;
};
// In the order of their indices, each once, none with a scale of 0. Empty: the model as it is.
using AdapterSet = std::vector<AdapterScale>;

// OpenAI chat messages as a JSON array, rendered with the model's template.
struct ChatPrompt {
  std::string messages_json;
  std::string tools_json;  // an array as in OpenAI's `tools`; "": none
  // An object of more variables for the template; "": none. add_generation_prompt, whether the
  // prompt ends with the head of the answer, is true unless it is here.
  std::string kwargs_json;
  std::string documents_json;  // an array of what the answer rests on; "": none
};
// Plain text: control tokens in it stay text, BOS is added if the model wants one.
struct TextPrompt {
  std::string text;
};
// A rendered template: names of control tokens count in its own text, and are plain text in input.
struct SegmentPrompt {
  std::vector<std::pair<std::string, bool>> segments;  // a text, and whether it is input
};
// Token ids, taken as they are.
struct TokenPrompt {
  std::vector<Token> tokens;
};

// How long an answer may think, between two tags at its beginning.
struct ThinkingLimit {
  std::string begin;
  std::string end;
  bool is_open = false;  // the prompt ends with the first tag
  int max_tokens = -1;   // then the second one is said for the model; < 0: no limit
  std::string message;   // said before it then, as plain text
};

struct Request {
  RequestId id = 0;
  std::variant<ChatPrompt, TextPrompt, SegmentPrompt, TokenPrompt> prompt;
  SamplingParams sampling;
  AdapterSet adapters;           // in any order, and with zeros, until it is prepared
  bool wants_embedding = false;  // the vector of the prompt instead of an answer
  bool wants_ranks = false;      // the numbers of the model's ranking head instead
  int max_tokens = -1;           // < 0: as many as the context allows; 0: no answer
  // The first one ends the answer, where it may end: with a grammar, what stands before it is all
  // that the grammar demands. So do the tokens.
  std::vector<std::string> stop;
  std::vector<Token> stop_token_ids;
  bool shows_stop = false;  // what stopped the answer is a part of its text
  int min_tokens = 0;       // before so many it neither ends nor stops
  std::string grammar;      // GBNF, with a rule `root`: what the answer may be; "": anything
  std::string draft;        // what the answer probably is: checked several tokens at a time
  // Tokens that one step checks ahead; < 0: the engine's limit, where a text is known or there is
  // a draft model.
  int n_draft_max = -1;
  ThinkingLimit thinking;
  int n_logprobs = -1;         // < 0: none; k: the sampled token's and the k best
  std::vector<Token> said;     // leading tokens of the answer that the client has already
  int n_prompt_logprobs = -1;  // the same of every prompt token; no prefix is reused then
  int n_logit_rows = 0;        // of so many tokens at the prompt's end, for the client
  std::string tenant;          // prefixes are reused within a tenant and adapters only,
  std::string cache_salt;      // and there among requests with the same salt
  bool saves_prefix = true;    // what it computes may be written to disk
  int priority = 0;            // higher ones start first
  bool is_background = false;  // runs only while no other request does
  // Prompts of others move the tokens of its answer at most so far apart, or as far as the engine's
  // own target allows where that is more; 0: as far as they like, < 0: by that target.
  double max_token_gap_ms = -1;
  double deadline_ms = 0;         // fails when it still waits then, since submit(); 0: never
  double max_total_ms = 0;        // since submit(): an answer ends then, before it fails; 0: never
  double max_decode_ms = 0;       // since the first token: the answer ends then; 0: never
  bool is_deterministic = false;  // bit-equal whatever else runs and is cached; slower
  bool wants_progress = false;    // a ProgressEvent several times a second, and a last one
  bool wants_timings = false;     // every DeltaEvent has `so_far`

  // It ends with its prompt: numbers are all that it asks for.
  bool is_pooled() const { return wants_embedding || wants_ranks; }
};

struct TopLogprob {
  Token token = 0;
  std::string piece;  // bytes, maybe part of a UTF-8 character
  float logprob = 0;
};

struct TokenLogprob {
  Token token = 0;
  std::string piece;
  float logprob = 0;
  std::vector<TopLogprob> top;  // descending
};

enum class FinishReason { kStop, kLength };

struct Finish {
  FinishReason reason = FinishReason::kStop;
  std::optional<std::string> stop_string;
  std::optional<Token> stop_token;  // of Request::stop_token_ids
  int n_prompt_tokens = 0;
  int n_completion_tokens = 0;
  int n_cached_tokens = 0;
  int n_draft_accepted = 0;  // tokens of the draft that became the answer's
  int n_draft_rejected = 0;  // those that were computed for nothing
  double queue_ms = 0;
  double prompt_ms = 0;
  double decode_ms = 0;
};

struct AcceptedEvent {
  int n_prompt_tokens = 0;
};

// Where a request is that has no answer yet; comes about once a second.
struct ProgressEvent {
  int position = 0;         // 1: the next one to start; 0: it has started
  int n_waiting = 0;        // so many wait, with it
  double eta_ms = -1;       // until it starts, or has its first token; < 0: not known
  int n_prompt_tokens = 0;  // all of it
  int n_cached_tokens = 0;
  int n_computed_tokens = 0;  // with the cached ones; never less than before
  double prompt_ms = 0;       // since it started
};

// What a step added to an answer. The one with `finish` is the request's last event.
struct DeltaEvent {
  std::string text;  // valid UTF-8
  int n_tokens = 0;
  std::vector<Token> tokens;           // which ones
  std::vector<TokenLogprob> logprobs;  // of the tokens whose text ends in `text`
  // Come in order before all text. Nothing precedes the first token: 0, without alternatives.
  std::vector<TokenLogprob> prompt_logprobs;
  // Of length 1, or the numbers of the ranking head; comes with `finish`, where it was asked for.
  std::vector<float> embedding;
  // Of Request::n_logit_rows, in order, before all text: n_vocab numbers each, as the model gives
  // them.
  std::vector<float> logits;
  std::optional<Finish> so_far;  // what `finish` would say now; where it was asked for
  std::optional<Finish> finish;

  bool is_text_alone() const {
    return logprobs.empty() && prompt_logprobs.empty() && embedding.empty() && logits.empty() &&
           !so_far && !finish;
  }
};

// The request failed or was cancelled; its last event.
struct FailedEvent {
  ErrorInfo error;
};

struct Event {
  RequestId id = 0;
  std::variant<AcceptedEvent, ProgressEvent, DeltaEvent, FailedEvent> body;
};

// How many times of up to so many milliseconds (the first of each pair) lay between two tokens, and
// were longer than the bound before.
using GapCounts = std::array<std::pair<double, int64_t>, 14>;

inline constexpr GapCounts kNoGaps = {{{2.5, 0},
                                       {5, 0},
                                       {10, 0},
                                       {20, 0},
                                       {30, 0},
                                       {40, 0},
                                       {50, 0},
                                       {75, 0},
                                       {100, 0},
                                       {150, 0},
                                       {250, 0},
                                       {500, 0},
                                       {1000, 0},
                                       {std::numeric_limits<double>::infinity(), 0}}};

// Guessed tokens that steps checked, and those that the answers said.
struct DraftCount {
  std::string kind;
  int64_t n_tokens = 0;
  int64_t n_accepted = 0;
};

// Counters since the start, and what the engine holds now.
struct EngineStats {
  int64_t n_running = 0;
  int64_t n_waiting = 0;
  std::vector<int> running_adapters;  // of those that run, sorted, each once
  std::vector<int> waiting_adapters;
  int64_t n_finished = 0;
  int64_t n_failed = 0;
  int64_t n_cancelled = 0;
  int64_t n_prompt_tokens = 0;
  int64_t n_cached_tokens = 0;
  int64_t n_decode_tokens = 0;
  int64_t n_steps = 0;
  int64_t n_step_requests = 0;  // of all steps together
  int64_t n_tokens_max = 0;     // most of a prompt with its answer so far
  int64_t n_preempted = 0;
  int64_t n_gave_way = 0;  // steps of the background that were broken off for others
  int64_t n_threads = 0;   // of the last step
  double prompt_ms = 0;
  double decode_ms = 0;
  int64_t n_kv_used = 0;
  int64_t n_kv_total = 0;
  int64_t n_kv_held = 0;  // of those in use: needed by running requests; the rest can be given up
  int64_t n_draft_tokens = 0;          // guessed tokens that steps checked
  int64_t n_draft_accepted = 0;        // of these, what the answer said
  int64_t n_drafts = 0;                // of steps and requests
  std::vector<int64_t> n_accepted_at;  // tokens that were right, by their places in drafts
  std::vector<DraftCount> drafts;      // the same by where they came from, as far as there were any
  GapCounts gaps = kNoGaps;       // between tokens of an answer; those of one step share its time
  double gaps_ms = 0;             // all of them together
  int64_t n_prefix_hits = 0;      // requests that began with a prefix of others
  int64_t n_prefix_restored = 0;  // of these, from a copy of what the KV cache had evicted
  int64_t n_prefix_pins = 0;      // prefixes kept in the KV cache now
  int64_t prefix_copy_bytes = 0;  // copies kept now
  int64_t n_block_losses = 0;     // how often what prefixes' blocks did was not taken in time
  // Prefixes looked for on disk that were read, and their tokens; those that were not, because
  // there was none, computing was faster, the KV cache had no room, reading took too long, or a
  // file was damaged or gone.
  int64_t n_disk_hits = 0;
  int64_t n_disk_tokens = 0;
  int64_t n_disk_absent = 0;
  int64_t n_disk_slow = 0;
  int64_t n_disk_full = 0;
  int64_t n_disk_late = 0;
  int64_t n_disk_damaged = 0;
  int64_t n_disk_gone = 0;
  int64_t disk_bytes = 0;      // of the whole directory
  int64_t n_disk_pieces = 0;   // files of this model
  int64_t n_disk_written = 0;  // files
  int64_t disk_written_bytes = 0;
  int64_t n_disk_errors = 0;  // of writing
  int64_t disk_read_bytes = 0;
  double disk_read_ms = 0;
  double stalled_ms = 0;  // since the engine or a prompt thread last got on with its work
};

}  // namespace pyserve
