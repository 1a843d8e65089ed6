// The configuration of an engine, and what it says about its model.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "pyserve/types.h"

namespace pyserve {

// How the model tells positions apart. What is not set is as the model file says.
struct RopeConfig {
  std::string scaling;         // none, linear, yarn or longrope; "": not set
  float freq_base = 0;         // 0: not set
  float freq_scale = 0;        // 0: not set; 0.5 makes room for twice the context
  float yarn_ext_factor = -1;  // of YaRN, below 0: not set; as the next three
  float yarn_attn_factor = -1;
  float yarn_beta_fast = -1;
  float yarn_beta_slow = -1;
  int yarn_orig_ctx = 0;  // 0: not set
};

// A value that counts instead of the model file's.
struct MetadataOverride {
  std::string key;
  std::variant<bool, int64_t, double, std::string> value;
};

struct EngineConfig {
  std::string model_path;
  std::vector<std::string> adapter_paths;  // LoRA adapters that requests may use
  int n_ctx = 0;                  // most tokens of one request; 0 = the model's own, at most 8192
  int n_kv = 0;                   // KV cells shared by all requests; 0 = n_ctx
  int n_seq_max = 16;             // requests that run at once
  int n_batch = 512;              // most tokens of one step
  std::string kernels;            // as choose_kernels() takes it; the first engine's count
  int n_threads = 1;              // compute threads of steps that decode
  int n_threads_batch = 1;        // of steps with prompts
  bool is_deterministic = false;  // all requests are
  int n_queue_max = 64;           // requests that may wait
  bool use_mmap = true;
  bool use_mlock = false;  // keep the weights in memory, as far as the system allows
  RopeConfig rope;
  std::string cache_type_k = "f16";  // of the KV cache: f16, q8_0, q4_0, ...
  std::string cache_type_v = "f16";
  std::string flash_attn = "auto";  // on, off or auto; auto is on where the model can
  std::string numa;                 // distribute, isolate or numactl; "": not
  std::vector<MetadataOverride> overrides;
  std::string chat_template;      // Jinja source in place of the model file's; "": the file's
  int64_t n_bytes_available = 0;  // a model that needs more is refused; 0: not known
  // Control tokens that have a text in answers, because they tell parts of an answer apart.
  std::vector<std::string> shown_tokens;
  int prefix_cache_mib = 512;  // for copies of prefixes that the KV cache has no room for; 0: none
  // Where computed prefixes are kept on disk, for this model and others; "": nowhere.
  std::string prefix_disk_dir;
  int prefix_disk_mib = 4096;             // most of it; 0: nowhere, too
  double prefix_disk_ttl_s = 1209600;     // a prefix that was not used for so long is deleted
  int prefix_disk_min_tokens = 512;       // shorter prefixes are not kept there
  bool is_prefix_disk_read_only = false;  // nothing is written or deleted
  std::string prefix_build;               // prefixes of another build are not used
  bool tells_blocks = false;              // Engine::take_prefix_changes() has something to give
  int n_draft_max = 15;                   // tokens of an answer that one step checks ahead; 0: none
  std::string spec_type = "auto";  // where drafts come from: "auto", "none" or a list of kinds
  bool drafts_always = false;      // also where measured steps say that it does not pay
  std::string draft_model_path;    // a smaller model that guesses how answers go on; "": none
  int n_draft_min = 0;             // its shorter guesses are not checked
  double draft_p_min = 0;          // it guesses on while a token has at least this probability
  double max_token_gap_ms = 50;    // so far apart are tokens of an answer beside others' prompts
};

// What stands around two texts that a model reads together: before, between and after them.
struct PairTokens {
  std::vector<Token> before;
  std::vector<Token> between;
  std::vector<Token> after;
};

struct ModelInfo {
  std::string name;  // as the file says; "" = it does not
  std::string architecture;
  std::string description;
  std::string quantization;
  int64_t n_params = 0;
  int64_t size_bytes = 0;
  int n_vocab = 0;
  int n_embd = 0;
  int n_layer = 0;
  int n_ctx_train = 0;
  int n_ctx = 0;
  int n_seq_max = 0;
  int n_threads = 0;
  int n_threads_batch = 0;
  int n_kv = 0;
  std::string cache_type_k;
  std::string cache_type_v;
  int64_t kv_bytes = 0;       // allocated for KV caches and states, those of a guesser among them
  int64_t compute_bytes = 0;  // allocated for computing, likewise
  std::string guesser;        // what guesses answers: "model", "mtp", "eagle3"; "" = nothing
  bool can_generate = true;   // false: embeddings are all that it makes, or it ranks
  int n_ranks = 0;            // numbers of its ranking head; 0: it has none, and makes embeddings
  std::vector<std::string> rank_labels;  // what they are the logits of, where the file says so
  std::string rank_template;  // of a query and a document, in braces; "" = none: `pair` is used
  PairTokens pair;
  int n_pooled = 0;  // most tokens of a text for an embedding or a rank
  bool has_chat_template = false;
  std::string chat_template;  // its source; "" = none, or too long to show
  std::string tool_template;  // the file's own for chats with tools, as above
  std::string rag_template;   // the same for chats with documents
  std::string bos_token;      // as text; "" = none
  std::string eos_token;
  // Fill-in-the-middle: before the prompt, before the suffix, before the answer; -1 = none.
  Token fim_pre_token = -1;
  Token fim_suf_token = -1;
  Token fim_mid_token = -1;
  double load_ms = 0;
  std::string kernels;  // the set that computes; see kernels.h
};

}  // namespace pyserve
