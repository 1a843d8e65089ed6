// The KV cache and the decode call.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "llama/context_memory.h"
#include "llama/model.h"
#include "pyserve/config.h"
#include "sample/logits.h"

struct llama_context;
struct ggml_threadpool;

namespace pyserve {

struct ContextDeleter {
  void operator()(llama_context* context) const;
};
struct ThreadpoolDeleter {
  void operator()(ggml_threadpool* pool) const;
};

// A run of tokens of one sequence.
struct BatchItem {
  SeqId seq_id = 0;
  int pos = 0;  // position of tokens[0]
  TokenSpan tokens;
  bool wants_logits = false;  // of the last token
};

enum class DecodeStatus {
  kOk,
  kNoCells,  // nothing was computed; free cells and try again
  kAborted,  // by request_abort(); sequences of the batch must be cleared
  kFailed,   // sequences of the batch must be cleared
};

// Thread: engine thread only, but request_abort().
class Context {
 public:
  // Throws EngineError(kModelLoad), for instance when there is not enough memory for the KV cache.
  // The model must outlive it.
  Context(const Model& model, const EngineConfig& config);

  int n_ctx() const { return n_ctx_; }  // most tokens of one request
  int n_kv() const { return n_kv_; }    // cells shared by all
  // Sequence ids beside those of running requests, which are [0, config.n_seq_max).
  int n_pins() const { return n_pins_; }
  ContextMemory& memory() { return *memory_; }

  // Computes one step. REQUIRES: at most n_batch tokens in all, at least one.
  DecodeStatus decode(const std::vector<BatchItem>& items);
  // Logits of items[index] of the last successful decode; valid until the next one.
  std::span<float> logits(size_t index);

  // Stops a running decode soon. Thread: any.
  void request_abort() { abort_.store(true); }

 private:
  void warm_up();

  const Model& model_;
  int n_ctx_ = 0;
  int n_kv_ = 0;
  int n_pins_ = 0;
  std::atomic<bool> abort_{false};
  std::unique_ptr<ggml_threadpool, ThreadpoolDeleter> threadpool_;
  std::unique_ptr<llama_context, ContextDeleter> context_;
  std::unique_ptr<ContextMemory> memory_;
  std::vector<int> logits_index_;  // item index -> batch index of its last token
};

}  // namespace pyserve
