// The KV cache and the decode call.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "base/pulse.h"
#include "llama/context/memory.h"
#include "llama/model/model.h"
#include "pyserve/config.h"
#include "pyserve/request.h"
#include "sample/row/logits.h"

struct llama_batch;
struct llama_context;
struct ggml_threadpool;

namespace pyserve {

struct ContextDeleter {
  void operator()(llama_context* context) const;
};

// A run of tokens of one sequence.
struct BatchItem {
  SeqId seq_id = 0;
  int pos = 0;  // position of tokens[0]
  TokenSpan tokens;
  int n_logits = 0;  // of the last tokens
  // Set by any thread. A step whose items are all cancelled is aborted. nullptr: never.
  const std::atomic<bool>* is_cancelled = nullptr;
  // A step whose items all do is aborted while want_way(true), but not always: where somebody comes
  // all the time, it is computed at last.
  bool gives_way = false;
};

inline int max_threads(const EngineConfig& config) {
  return std::max(config.n_threads, config.n_threads_batch);
}

// Rows of logits that a step can have: one for every request, or these of prompts to score.
inline constexpr int kMaxScored = 64;

// What a context is asked for: rows of logits, or the states that become logits, for embeddings.
enum class ContextOutput { kLogits, kStates };

enum class DecodeStatus {
  kOk,
  kNoCells,  // nothing was computed; free cells and try again
  kAborted,  // by request_abort() or cancelled; nothing was computed, but states may be spoilt
  kGaveWay,  // to want_way(); nothing was computed, and all is as before
  kFailed,   // sequences of the batch must be cleared
};

DecodeStatus decode_status(int vendor_status);
// Allocated for caches and states, and for the graphs of steps.
int64_t context_bytes(const llama_context& context);
int64_t graph_bytes(const llama_context& context);

// States of every token that a context keeps beside what its steps ask for.
struct KeptStates {
  bool has_last = false;          // what the logits are made of
  std::vector<int> layer_inputs;  // what goes into these layers

  bool is_empty() const { return !has_last && layer_inputs.empty(); }
};

// Thread: engine thread only, but request_abort() and want_way().
class Context {
 public:
  // Throws EngineError(kModelLoad), for instance when there is not enough memory for the KV cache.
  // The model must outlive it. `threads`: computes on the threads of this one, not at the same time
  // as it, keeps no prefixes, and heeds its request_abort(); it must outlive this one.
  // nullptr: on threads of its own. What this one is asked for by want_way() holds for both.
  Context(const Model& model, const EngineConfig& config, const Context* threads = nullptr,
          ContextOutput output = ContextOutput::kLogits);

  int n_ctx() const { return n_ctx_; }  // most tokens of one request
  int n_kv() const { return n_kv_; }    // cells shared by all
  // Sequence ids beside those of running requests, which are [0, config.n_seq_max).
  int n_pins() const { return n_pins_; }
  ContextMemory& memory() { return *memory_; }
  int64_t kv_bytes() const { return context_bytes(*context_); }
  int64_t compute_bytes() const { return graph_bytes(*context_); }
  llama_context* get() const { return context_.get(); }
  ggml_threadpool* threadpool() const { return threadpool_.get(); }

  // Computes one step. Throws EngineError(kInternal) for a token or position out of range.
  // REQUIRES: at most n_batch tokens in all, at least one; at most kMaxScored or
  // config.n_seq_max rows of logits, whichever is more. With kStates: n_logits of every item are
  // its tokens.
  DecodeStatus decode(const std::vector<BatchItem>& items);
  // The row of the `k`th token with logits of items[index] of the last successful decode; valid
  // until the next one. Thread: any while no decode runs.
  std::span<float> logits(size_t index, int k) const;
  // With kStates the same of its final hidden state: model.n_embd_out() numbers.
  std::span<const float> state(size_t index, int k) const;

  // From now on these are kept of every token of a step.
  void keep(const KeptStates& kept);
  // Those of the `k`th token of items[index] of the last successful decode, one after the other.
  void copy_kept(size_t index, int k, std::vector<float>& row) const;

  // The adapters that the next steps compute with. After a change the next one takes some
  // milliseconds more: the vendor plans its buffers again.
  // REQUIRES: they are the model's.
  void set_adapters(const AdapterSet& adapters);

  // How many threads compute the next steps. REQUIRES: at most max_threads(config).
  void set_threads(int n_threads);

  // Stops a running decode soon. Thread: any.
  void request_abort() { abort_.store(true); }
  // From now on steps that give way are aborted soon, where the memory can take back a part of one.
  // Thread: any.
  void want_way(bool is_wanted) { is_way_wanted_.store(is_wanted); }

  // Whether the computation that runs is to stop. Called on the thread that decodes, also for
  // contexts on the same threads; beats.
  bool should_abort() const;

  // Beats with every node that a step computes. Contexts on the same threads have one.
  Pulse& pulse() const { return threads_ != nullptr ? threads_->pulse() : pulse_; }

 private:
  void warm_up();
  void check(const BatchItem& item) const;
  void find_rows(const std::vector<BatchItem>& items, const llama_batch& batch);
  bool must_give_way() const;
  void take_back(const std::vector<BatchItem>& items);

  const Model& model_;
  const Context* const threads_;
  const ContextOutput output_;
  int n_ctx_ = 0;
  int n_kv_ = 0;
  int n_pins_ = 0;
  std::atomic<bool> abort_{false};
  std::atomic<bool> is_way_wanted_{false};
  mutable bool gave_way_ = false;  // the last step that was aborted
  int n_ways_given_ = 0;           // one step after the other, since one was computed
  mutable Pulse pulse_;
  std::shared_ptr<ggml_threadpool> threadpool_;
  std::unique_ptr<llama_context, ContextDeleter> context_;
  std::unique_ptr<ContextMemory> memory_;
  AdapterSet adapters_;
  KeptStates kept_;
  std::vector<size_t> first_token_;                // item index -> token of the batch
  const std::vector<BatchItem>* items_ = nullptr;  // while they are computed
  std::vector<int> first_row_;                     // item index -> into rows_
  std::vector<float*> rows_;                       // of every token with logits, or with a state
};

}  // namespace pyserve
