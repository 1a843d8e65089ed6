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

// Byte-level BPE with the pre-tokenizer `pre`: every byte is a token, and every two of
// `paired_bytes` beside each other in a word become one, so that tokens show where words end.
// `special`, if not empty, is a token of its own. Throws when the vendor refuses it.
class VocabFile {
 public:
  VocabFile(const std::string& pre, const std::vector<uint8_t>& paired_bytes,
            const std::string& special = {}) {
    for (int byte = 0; byte < 256; ++byte) add_token(symbol(byte), 1);
    for (const uint8_t left : paired_bytes) {
      for (const uint8_t right : paired_bytes) {
        add_token(symbol(left) + symbol(right), 1);
        merges_.push_back(symbol(left) + " " + symbol(right));
      }
    }
    std::shuffle(merges_.begin(), merges_.end(), std::mt19937(7));  // no pair is always the first
    if (!special.empty()) add_token(special, 4);
    load(write(pre));
  }

  const llama_vocab* vocab() const { return llama_model_get_vocab(model_.get()); }
  llama_token special() const { return static_cast<llama_token>(tokens_.size()) - 1; }

 private:
  static std::string symbol(int byte) { return unicode_byte_to_utf8(static_cast<uint8_t>(byte)); }

  void add_token(std::string text, int32_t type) {
    tokens_.push_back(std::move(text));
    types_.push_back(type);
  }

  std::filesystem::path write(const std::string& pre) const {
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), gguf_free);
    gguf_set_val_str(file.get(), "general.architecture", "llama");
    for (const char* key : {"context_length", "embedding_length", "block_count",
                            "feed_forward_length", "attention.head_count"}) {
      gguf_set_val_u32(file.get(), (std::string("llama.") + key).c_str(), 8);
    }
    gguf_set_val_f32(file.get(), "llama.attention.layer_norm_rms_epsilon", 1e-5F);
    gguf_set_val_str(file.get(), "tokenizer.ggml.model", "gpt2");
    gguf_set_val_str(file.get(), "tokenizer.ggml.pre", pre.c_str());
    set_texts(file.get(), "tokenizer.ggml.tokens", tokens_);
    set_texts(file.get(), "tokenizer.ggml.merges", merges_);
    gguf_set_arr_data(file.get(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types_.data(),
                      types_.size());
    gguf_set_val_u32(file.get(), "tokenizer.ggml.bos_token_id", 0);
    gguf_set_val_u32(file.get(), "tokenizer.ggml.eos_token_id", 1);
    const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                       ("pyserve-vocab-" + std::to_string(getpid()) + ".gguf");
    gguf_write_to_file(file.get(), path.c_str(), /*only_meta=*/true);
    return path;
  }

  static void set_texts(gguf_context* file, const char* key,
                        const std::vector<std::string>& texts) {
    std::vector<const char*> values;
    for (const std::string& text : texts) values.push_back(text.c_str());
    gguf_set_arr_str(file, key, values.data(), values.size());
  }

  void load(const std::filesystem::path& path) {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model_.reset(llama_model_load_from_file(path.c_str(), params));
    std::filesystem::remove(path);
    if (model_ == nullptr) throw std::runtime_error("the vocabulary does not load");
  }

  std::vector<std::string> tokens_;
  std::vector<int32_t> types_;
  std::vector<std::string> merges_;
  VocabModel model_{nullptr, llama_model_free};
};

}  // namespace pyserve
