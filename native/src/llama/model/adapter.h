// A LoRA adapter: small matrices that are added to those of a model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

struct llama_adapter_lora;
struct llama_model;

namespace pyserve {

struct AdapterDeleter {
  void operator()(llama_adapter_lora* adapter) const;
};

// Immutable after construction: any thread. The model must outlive it.
class Adapter {
 public:
  // Throws EngineError(kModelLoad), naming the file, for one that is damaged, no LoRA adapter, or
  // not made for this model. An adapter with invocation tokens (aLoRA) is refused: it would act
  // from the middle of a prompt on.
  Adapter(llama_model* model, const std::string& path);

  llama_adapter_lora* get() const { return adapter_.get(); }
  int64_t n_bytes() const;
  // Adapters of equal content have the same.
  const std::string& identity() const { return identity_; }

 private:
  std::unique_ptr<llama_adapter_lora, AdapterDeleter> adapter_;
  std::string identity_;
};

}  // namespace pyserve
