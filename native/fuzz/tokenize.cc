// Texts cut into pieces: nothing is lost, and the tokens are those of the whole text.
#include <map>
#include <memory>

#include "../tests/vocab_file.h"
#include "fuzz_input.h"
#include "llama/cutting/text_cutter.h"

using namespace pyserve;

namespace {

constexpr const char* kPreTokenizers[] = {
    "default",    "llama-bpe", "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon",
    "gpt-2",      "jais-2",    "bloom",        "viking",         "tekken",      "gpt-4o",
    "chameleon",  "superbpe",  "bailingmoe",   "seed-coder",     "afmoe",       "youtu",
    "exaone-moe", "tiny_aya",  "minicpm5",     "kimi-k2",        "spark2_5",    "gemma4"};

const llama_vocab* vocabulary(const std::string& pre) {
  static std::map<std::string, std::unique_ptr<VocabFile>> files;
  auto& file = files[pre];
  if (!file) {
    std::vector<uint8_t> paired;
    for (int byte = 0; byte < 256; byte += byte < 128 ? 1 : 3) paired.push_back(byte);
    file = std::make_unique<VocabFile>(pre, paired);
  }
  return file->vocab();
}

std::vector<llama_token> tokenize(const llama_vocab* vocab, std::string_view text) {
  std::vector<llama_token> tokens(text.size() + 16);
  tokens.resize(llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                               static_cast<int>(tokens.size()), false, false));
  return tokens;
}

// `text` with a seam of every vocabulary after every few characters.
std::string with_seams(const std::string& text) {
  std::string out;
  size_t n_since = 0;
  for (const char byte : text) {
    if (n_since++ >= 24 && (static_cast<unsigned char>(byte) & 0xC0) != 0x80) {
      out += "x1\n";
      n_since = 0;
    }
    out += byte;
  }
  return out;
}

}  // namespace

PYSERVE_FUZZ_TARGET(tokenize) {
  FuzzInput input(data, std::min<size_t>(n_bytes, 4096));
  const llama_vocab* vocab = vocabulary(kPreTokenizers[input.below(std::size(kPreTokenizers))]);
  const TextCutter cutter(vocab, {});
  const size_t max_bytes = 4 + input.byte();
  const std::string plain = input.rest();
  std::string joined;
  for (const std::string_view piece : cutter.cut(plain, false, max_bytes)) joined += piece;
  require(joined == plain, "the pieces are the text");
  const std::string text = with_seams(plain);
  std::vector<llama_token> tokens;
  for (const std::string_view piece : cutter.cut(text, false, 64 + max_bytes)) {
    const std::vector<llama_token> more = tokenize(vocab, piece);
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  require(tokens == tokenize(vocab, text), "the tokens are those of the text");
  return 0;
}
