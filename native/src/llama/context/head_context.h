// Computes a head: a layer that reads a model's states and tells what follows.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llama/context/context.h"
#include "llama/context/memory.h"
#include "llama/model/model.h"
#include "pyserve/config.h"

struct llama_batch_ext;

namespace pyserve {

struct BatchExtDeleter {
  void operator()(llama_batch_ext* batch) const;
};

// A token at its position, and a state: that of the token before it.
struct HeadItem {
  SeqId seq_id = 0;
  int pos = 0;
  Token token = 0;
  std::span<const float> state;
  bool is_own = false;  // the state is one that the head made itself
};

// The last layers of a model (MTP), or a model of its own (EAGLE3).
// Thread: engine thread only.
class HeadContext {
 public:
  // own: of EAGLE3; nullptr: the head is in `model`. Has room for the tokens of `target`, and
  // computes on its threads. All must outlive it. Throws EngineError(kModelLoad).
  HeadContext(const Model& model, const Context& target, const EngineConfig& config,
              const Model* own);

  // Why `model` has no head in it that can be used, "" = it has one.
  static std::string obstacle(const Model& model);
  // Why `own` is no head for `model`, "" = it is one.
  static std::string obstacle(const Model& model, const Model& own);
  // The states of `model` that it reads, of every token.
  static KeptStates kept_states(const Model* own);

  int n_state() const;  // numbers in such a state
  ContextMemory& memory() { return *memory_; }
  // One more than the last position of a sequence.
  int end(SeqId seq_id) const;
  int n_batch() const { return n_batch_; }
  int64_t kv_bytes() const;
  int64_t compute_bytes() const;

  // Computes the items, at most n_batch() of them. With `wants_outputs` there are logits and states
  // of each, which are valid until the next call.
  DecodeStatus decode(std::span<const HeadItem> items, bool wants_outputs);
  std::span<float> logits(int index) const;
  std::span<const float> state(int index) const;

 private:
  bool encode(std::span<const HeadItem> items);
  void warm_up();
  int n_embd() const;

  const Model& head_;
  const bool has_encoder_;
  const Context& target_;
  const int n_batch_;
  std::unique_ptr<llama_context, ContextDeleter> context_;
  std::unique_ptr<llama_batch_ext, BatchExtDeleter> batch_;
  std::unique_ptr<ContextMemory> memory_;
  std::vector<float> encoded_;  // of the items whose states are not its own, in their order
};

}  // namespace pyserve
