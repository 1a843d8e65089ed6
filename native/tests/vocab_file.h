// Writes small vocabularies without weights, and loads them.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "gguf.h"
#include "llama.h"
#include "unicode.h"

namespace pyserve {

using VocabModel = std::unique_ptr<llama_model, decltype(&llama_model_free)>;

// What a file says of a vocabulary, token by token.
struct VocabFields {
  std::string model;  // the vendor's name of its kind
  std::string pre;
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;
  std::vector<std::string> merges;

  void add(std::string text, int32_t type) {
    tokens.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(-static_cast<float>(tokens.size()));
  }
};

inline void set_texts(gguf_context* file, const char* key, const std::vector<std::string>& texts) {
  std::vector<const char*> values;
  for (const std::string& text : texts) values.push_back(text.c_str());
  gguf_set_arr_str(file, key, values.data(), values.size());
}

inline void write_vocab(const std::filesystem::path& path, const VocabFields& fields) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), gguf_free);
  gguf_set_val_str(file.get(), "general.architecture", "llama");
  for (const char* key : {"context_length", "embedding_length", "block_count",
                          "feed_forward_length", "attention.head_count"}) {
    gguf_set_val_u32(file.get(), (std::string("llama.") + key).c_str(), 8);
  }
  gguf_set_val_f32(file.get(), "llama.attention.layer_norm_rms_epsilon", 1e-5F);
  gguf_set_val_str(file.get(), "tokenizer.ggml.model", fields.model.c_str());
  gguf_set_val_str(file.get(), "tokenizer.ggml.pre", fields.pre.c_str());
  set_texts(file.get(), "tokenizer.ggml.tokens", fields.tokens);
  set_texts(file.get(), "tokenizer.ggml.merges", fields.merges);
  gguf_set_arr_data(file.get(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32, fields.types.data(),
                    fields.types.size());
  gguf_set_arr_data(file.get(), "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, fields.scores.data(),
                    fields.scores.size());
  gguf_set_val_u32(file.get(), "tokenizer.ggml.bos_token_id", 0);
  gguf_set_val_u32(file.get(), "tokenizer.ggml.eos_token_id", 1);
  gguf_write_to_file(file.get(), path.c_str(), /*only_meta=*/true);
}

// Throws when the vendor refuses it.
inline VocabModel load_vocab(const VocabFields& fields) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("pyserve-vocab-" + std::to_string(getpid()) + ".gguf");
  write_vocab(path, fields);
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  VocabModel model(llama_model_load_from_file(path.c_str(), params), llama_model_free);
  std::filesystem::remove(path);
  if (model == nullptr) throw std::runtime_error("the vocabulary does not load");
  return model;
}

// Byte-level BPE with the pre-tokenizer `pre`: every byte is a token, and every two of
// `paired_bytes` beside each other in a word become one, so that tokens show where words end.
// `special`, if not empty, is a token of its own. Throws when the vendor refuses it.
class VocabFile {
 public:
  VocabFile(const std::string& pre, const std::vector<uint8_t>& paired_bytes,
            const std::string& special = {}) {
    VocabFields fields;
    fields.model = "gpt2";
    fields.pre = pre;
    for (int byte = 0; byte < 256; ++byte) fields.add(symbol(byte), LLAMA_TOKEN_TYPE_NORMAL);
    for (const uint8_t left : paired_bytes) {
      for (const uint8_t right : paired_bytes) {
        fields.add(symbol(left) + symbol(right), LLAMA_TOKEN_TYPE_NORMAL);
        fields.merges.push_back(symbol(left) + " " + symbol(right));
      }
    }
    // No pair is always the first.
    std::shuffle(fields.merges.begin(), fields.merges.end(), std::mt19937(7));
    if (!special.empty()) fields.add(special, LLAMA_TOKEN_TYPE_USER_DEFINED);
    special_ = static_cast<llama_token>(fields.tokens.size()) - 1;
    model_ = load_vocab(fields);
  }

  const llama_vocab* vocab() const { return llama_model_get_vocab(model_.get()); }
  llama_token special() const { return special_; }

 private:
  static std::string symbol(int byte) { return unicode_byte_to_utf8(static_cast<uint8_t>(byte)); }

  llama_token special_ = 0;
  VocabModel model_{nullptr, llama_model_free};
};

}  // namespace pyserve
