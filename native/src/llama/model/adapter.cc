#include "llama/model/adapter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <string_view>

#include "gguf.h"
#include "llama-adapter.h"
#include "llama-model.h"
#include "llama.h"
#include "llama/model/identity.h"
#include "llama/process/vendor_log.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

constexpr std::string_view kSuffixA = ".lora_a";
constexpr std::string_view kSuffixB = ".lora_b";
constexpr std::string_view kEmbeddings = "token_embd.weight";
// What converters write; the vendor ends the process on types that it has no products for.
constexpr std::array<ggml_type, 4> kTypes = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16,
                                             GGML_TYPE_Q8_0};

struct Refusal {
  std::string reason;
};

// The head of an adapter's file. The vendor reads it again, but does not expect wrong types.
class Head {
 public:
  explicit Head(const std::string& path) {
    gguf_init_params params{true, &tensors_};
    gguf_ = gguf_init_from_file(path.c_str(), params);
    if (gguf_ == nullptr) throw Refusal{"it is missing, or no GGUF file"};
  }
  ~Head() {
    gguf_free(gguf_);
    ggml_free(tensors_);
  }
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  bool has(const char* key) const { return gguf_find_key(gguf_, key) >= 0; }
  std::string text(const char* key) const {
    const int64_t id = typed(key, GGUF_TYPE_STRING);
    return id < 0 ? "" : gguf_get_val_str(gguf_, id);
  }
  float number(const char* key) const {
    const int64_t id = typed(key, GGUF_TYPE_FLOAT32);
    return id < 0 ? 0 : gguf_get_val_f32(gguf_, id);
  }
  ggml_context* tensors() const { return tensors_; }

 private:
  int64_t typed(const char* key, gguf_type type) const {
    const int64_t id = gguf_find_key(gguf_, key);
    if (id < 0 || gguf_get_kv_type(gguf_, id) == type) return id;
    throw Refusal{std::string(key) + " has the wrong type"};
  }

  gguf_context* gguf_ = nullptr;
  ggml_context* tensors_ = nullptr;
};

std::string architecture(const llama_model* model) {
  std::array<char, 128> name{};
  llama_model_meta_val_str(model, "general.architecture", name.data(), name.size());
  return name.data();
}

void check_keys(const Head& head, const llama_model* model) {
  const auto require = [&](const char* key, const std::string& wanted) {
    const std::string value = head.text(key);
    if (value != wanted) throw Refusal{std::string(key) + " is '" + value + "', not " + wanted};
  };
  require("general.type", "adapter");
  require("adapter.type", "lora");
  require("general.architecture", architecture(model));
  if (!std::isfinite(head.number("adapter.lora.alpha"))) throw Refusal{"its alpha is not finite"};
  if (head.has("adapter.alora.invocation_tokens")) {
    throw Refusal{"it has invocation tokens (aLoRA), which is not supported"};
  }
}

std::string shape_of(const ggml_tensor& tensor) {
  std::string shape = std::to_string(tensor.ne[0]);
  for (int dim = 1; dim < ggml_n_dims(&tensor); ++dim) {
    shape += " x " + std::to_string(tensor.ne[dim]);
  }
  return shape;
}

bool fits(const ggml_tensor& base, const ggml_tensor& a, const ggml_tensor& b, bool is_embedding) {
  for (const int dim : {2, 3}) {
    if (a.ne[dim] != base.ne[dim] || b.ne[dim] != base.ne[dim]) return false;
  }
  // Rows of embeddings are looked up, so their A is transposed.
  if (is_embedding) {
    return a.ne[0] == b.ne[0] && a.ne[1] == base.ne[1] && b.ne[1] == base.ne[0];
  }
  return a.ne[1] == b.ne[0] && a.ne[0] == base.ne[0] && b.ne[1] == base.ne[1];
}

// The vendor uses the same matrix, and so the same adapter, once transposed and once not.
bool is_tied(const llama_model* model) {
  return model->output == nullptr || model->output->name == kEmbeddings;
}

void check_pair(const Head& head, const llama_model* model, const ggml_tensor& a) {
  const std::string_view name_a = a.name;
  const std::string name(name_a.substr(0, name_a.size() - kSuffixA.size()));
  const ggml_tensor* base = model->get_tensor(name.c_str());
  const ggml_tensor* b = ggml_get_tensor(head.tensors(), (name + std::string(kSuffixB)).c_str());
  if (base == nullptr || b == nullptr) return;  // the vendor says which of them is missing
  const bool is_embedding = name.ends_with(kEmbeddings);
  if (!fits(*base, a, *b, is_embedding)) {
    throw Refusal{"it was made for another model: A is " + shape_of(a) + " and B " + shape_of(*b) +
                  " for " + name + ", which is " + shape_of(*base)};
  }
  if (name == kEmbeddings && is_tied(model)) {
    throw Refusal{"it changes token_embd.weight, which this model uses as its output, too"};
  }
}

void check_tensors(const Head& head, const llama_model* model) {
  ggml_context* all = head.tensors();
  for (ggml_tensor* tensor = ggml_get_first_tensor(all); tensor != nullptr;
       tensor = ggml_get_next_tensor(all, tensor)) {
    const std::string_view name = tensor->name;
    // The vendor drops the suffix wherever it is, and so looks at another matrix than check_pair().
    if (const size_t at = name.find(".lora_"); at < name.size() - kSuffixA.size()) {
      throw Refusal{std::string(name) + " is not the name of a matrix"};
    }
    if (name.ends_with(kSuffixA)) check_pair(head, model, *tensor);
    if (std::find(kTypes.begin(), kTypes.end(), tensor->type) == kTypes.end()) {
      throw Refusal{std::string(name) + " has the type " + ggml_type_name(tensor->type) +
                    ", adapters have f32, f16, bf16 or q8_0"};
    }
  }
}

llama_adapter_lora* load(llama_model* model, const std::string& path) {
  {
    const Head head(path);
    check_keys(head, model);
    check_tensors(head, model);
  }
  llama_adapter_lora* adapter = llama_adapter_lora_init(model, path.c_str());
  if (adapter == nullptr) throw Refusal{"it is damaged or not supported"};
  return adapter;
}

}  // namespace

void AdapterDeleter::operator()(llama_adapter_lora* adapter) const {
  llama_adapter_lora_free(adapter);
}

Adapter::Adapter(llama_model* model, const std::string& path) {
  VendorLog& log = VendorLog::instance();
  log.begin_load(true);
  std::string reason;
  try {
    adapter_.reset(load(model, path));
  } catch (const Refusal& refusal) {
    reason = refusal.reason;
  }
  const std::string cause = log.end_load();
  if (adapter_ != nullptr) {
    identity_ = to_hex(content_identity(path));
    return;
  }
  const std::string name = std::filesystem::path(path).filename().string();
  throw EngineError(ErrorCode::kModelLoad,
                    "cannot load the adapter " + name + ": " + (cause.empty() ? reason : cause));
}

int64_t Adapter::n_bytes() const {
  int64_t n_bytes = 0;
  for (const auto& buffer : adapter_->bufs) {
    n_bytes += static_cast<int64_t>(ggml_backend_buffer_get_size(buffer.get()));
  }
  return n_bytes;
}

}  // namespace pyserve
