#include "llama/model/overrides.h"

#include <cstring>
#include <memory>
#include <variant>

#include "gguf.h"
#include "llama.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

EngineError unfit(const std::string& key, const std::string& problem) {
  return EngineError(ErrorCode::kModelLoad,
                     "the override of " + key.substr(0, 80) + " cannot be used: " + problem);
}

template <size_t kSize>
void copy_text(char (&target)[kSize], const std::string& text, const std::string& key) {
  if (text.size() >= kSize) {
    throw unfit(key, "it has " + std::to_string(text.size()) + " bytes, at most " +
                         std::to_string(kSize - 1) + " may be");
  }
  std::memcpy(target, text.c_str(), text.size() + 1);
}

llama_model_kv_override vendor_override(const MetadataOverride& wanted) {
  llama_model_kv_override result{};
  copy_text(result.key, wanted.key, wanted.key);
  if (const auto* flag = std::get_if<bool>(&wanted.value)) {
    result.tag = LLAMA_KV_OVERRIDE_TYPE_BOOL;
    result.val_bool = *flag;
  } else if (const auto* number = std::get_if<int64_t>(&wanted.value)) {
    result.tag = LLAMA_KV_OVERRIDE_TYPE_INT;
    result.val_i64 = *number;
  } else if (const auto* real = std::get_if<double>(&wanted.value)) {
    result.tag = LLAMA_KV_OVERRIDE_TYPE_FLOAT;
    result.val_f64 = *real;
  } else {
    result.tag = LLAMA_KV_OVERRIDE_TYPE_STR;
    copy_text(result.val_str, std::get<std::string>(wanted.value), wanted.key);
  }
  return result;
}

bool fits(llama_model_kv_override_type tag, gguf_type type) {
  switch (type) {
    case GGUF_TYPE_BOOL:
      return tag == LLAMA_KV_OVERRIDE_TYPE_BOOL;
    case GGUF_TYPE_FLOAT32:
    case GGUF_TYPE_FLOAT64:
      return tag == LLAMA_KV_OVERRIDE_TYPE_FLOAT;
    case GGUF_TYPE_STRING:
      return tag == LLAMA_KV_OVERRIDE_TYPE_STR;
    case GGUF_TYPE_ARRAY:
      return false;
    default:
      return tag == LLAMA_KV_OVERRIDE_TYPE_INT;
  }
}

}  // namespace

std::vector<llama_model_kv_override> vendor_overrides(
    const std::vector<MetadataOverride>& overrides, const std::string& model_path) {
  if (overrides.empty()) return {};
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(
      gguf_init_from_file(model_path.c_str(), {/*no_alloc=*/true, /*ctx=*/nullptr}), gguf_free);
  std::vector<llama_model_kv_override> result;
  for (const MetadataOverride& wanted : overrides) {
    result.push_back(vendor_override(wanted));
    // The vendor would only warn. What the file does not say it may have all the same.
    const int64_t id = file == nullptr ? -1 : gguf_find_key(file.get(), wanted.key.c_str());
    if (id < 0) continue;
    const gguf_type type = gguf_get_kv_type(file.get(), id);
    if (!fits(result.back().tag, type)) {
      throw unfit(wanted.key,
                  std::string("in the model file it is of type ") + gguf_type_name(type));
    }
  }
  result.emplace_back();
  return result;
}

}  // namespace pyserve
