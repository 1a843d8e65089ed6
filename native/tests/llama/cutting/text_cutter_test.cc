#include "llama/cutting/text_cutter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "vocab_file.h"

using namespace pyserve;

namespace {

// One name for every pre-tokenizer of the vendor.
constexpr const char* kPreTokenizers[] = {"default",
                                          "llama-bpe",
                                          "deepseek-llm",
                                          "deepseek-coder",
                                          "deepseek-v3",
                                          "falcon",
                                          "mpt",
                                          "starcoder",
                                          "gpt-2",
                                          "jais-2",
                                          "gemma4",
                                          "sarvam-moe",
                                          "whitespace",
                                          "refact",
                                          "command-r",
                                          "qwen2",
                                          "qwen35",
                                          "stablelm2",
                                          "olmo",
                                          "dbrx",
                                          "smaug-bpe",
                                          "poro-chat",
                                          "chatglm-bpe",
                                          "viking",
                                          "jais",
                                          "tekken",
                                          "smollm",
                                          "codeshell",
                                          "bloom",
                                          "gpt3-finnish",
                                          "exaone",
                                          "exaone-moe",
                                          "chameleon",
                                          "minerva-7b",
                                          "gpt-4o",
                                          "minimax-m2",
                                          "tiny_aya",
                                          "granite-docling",
                                          "superbpe",
                                          "trillion",
                                          "bailingmoe",
                                          "seed-coder",
                                          "hunyuan",
                                          "hunyuan-dense",
                                          "hy_v4",
                                          "joyai-llm",
                                          "kimi-k2",
                                          "ufakzeka",
                                          "grok-2",
                                          "afmoe",
                                          "laguna",
                                          "youtu",
                                          "minicpm5",
                                          "solar-open",
                                          "mellum2",
                                          "spark2_5",
                                          "granite-embed-multi-97m"};

// What texts are made of: words, digits and marks of several scripts, and where rules differ.
constexpr const char* kFragments[] = {"a",
                                      "the",
                                      " word",
                                      "Word",
                                      "B",
                                      "é",
                                      "ß",
                                      "я",
                                      "мир",
                                      "中",
                                      "文字",
                                      "，但",
                                      "。",
                                      "、",
                                      "か",
                                      "ไทย",
                                      "هذا",
                                      "، ",
                                      "हि",
                                      "'s",
                                      "'LL",
                                      "don't",
                                      "1",
                                      "42",
                                      " 123",
                                      "12345",
                                      "٣",
                                      ".",
                                      ",",
                                      ", ",
                                      ". ",
                                      "!",
                                      "?!",
                                      "--",
                                      "()",
                                      "<x>",
                                      "$5",
                                      "%",
                                      "\"",
                                      "`",
                                      "_",
                                      " ",
                                      "  ",
                                      "    ",
                                      "\t",
                                      "\n",
                                      "\r\n",
                                      "\n\n",
                                      " \n",
                                      "\xC2\xA0",
                                      "👍🏽",
                                      "́",
                                      "\xEF\xBF\xBD",
                                      "x1 y2"};

// Random text with a seam of every vocabulary at least every dozen fragments.
std::string random_text(std::mt19937& rng, size_t n_bytes, bool has_single_spaces) {
  std::string text;
  for (size_t n = 0; text.size() < n_bytes; ++n) {
    std::string fragment = n % 12 == 0 ? "x1\n" : kFragments[rng() % std::size(kFragments)];
    if (has_single_spaces) {
      for (char& byte : fragment) byte = byte == ' ' || byte == '\r' || byte == '\xC2' ? '_' : byte;
      if (fragment.find('\n') < fragment.size() - 1) fragment = "-\n";
      if (!text.empty() && text.back() == '\n') text += '=';
    }
    text += fragment;
  }
  return text;
}

std::vector<uint8_t> bytes_of_fragments() {
  std::vector<uint8_t> bytes;
  for (const char* fragment : kFragments) {
    for (const char* byte = fragment; *byte != '\0'; ++byte) {
      bytes.push_back(static_cast<uint8_t>(*byte));
    }
  }
  std::sort(bytes.begin(), bytes.end());
  bytes.erase(std::unique(bytes.begin(), bytes.end()), bytes.end());
  return bytes;
}

std::vector<llama_token> tokenize(const llama_vocab* vocab, std::string_view text) {
  std::vector<llama_token> tokens(text.size() + 16);
  const int n = llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                               static_cast<int>(tokens.size()), false, false);
  REQUIRE(n >= 0);
  tokens.resize(n);
  return tokens;
}

std::vector<llama_token> tokenize_pieces(const llama_vocab* vocab,
                                         const std::vector<std::string_view>& pieces) {
  std::vector<llama_token> tokens;
  for (const std::string_view piece : pieces) {
    const std::vector<llama_token> more = tokenize(vocab, piece);
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  return tokens;
}

std::string repeat(const std::string& part, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += part;
  return text;
}

size_t longest(const std::vector<std::string_view>& pieces) {
  size_t n_bytes = 0;
  for (const std::string_view piece : pieces) n_bytes = std::max(n_bytes, piece.size());
  return n_bytes;
}

}  // namespace

TEST_CASE("the pieces of a text have the tokens of the text, for every pre-tokenizer") {
  const std::vector<uint8_t> paired = bytes_of_fragments();
  std::mt19937 rng(1);
  for (const std::string pre : kPreTokenizers) {
    CAPTURE(pre);
    const VocabFile file(pre, paired);
    const TextCutter cutter(file.vocab(), {});
    for (int i = 0; i < 3; ++i) {
      const std::string text = random_text(rng, 2000, pre == "whitespace");
      CAPTURE(text);
      const std::vector<std::string_view> pieces = cutter.cut(text, false, 200);
      CHECK((pieces.size() > 5 || pre == "gemma4" || pre == "sarvam-moe"));
      CHECK(tokenize_pieces(file.vocab(), pieces) == tokenize(file.vocab(), text));
    }
  }
}

TEST_CASE("runs are cut, and nothing is lost") {
  for (const std::string pre : {"gpt-2", "afmoe"}) {
    CAPTURE(pre);
    const VocabFile file(pre, {'a', 'b'});
    const TextCutter cutter(file.vocab(), {});
    for (const char* unit : {"a", " ", "\n", "1", "!", "\t", "é", "中", "́", "👍", "a1", "!?a"}) {
      const std::string text = repeat(unit, 20'000) + "x";
      const std::vector<std::string_view> pieces = cutter.cut(text, false);
      CHECK(longest(pieces) <= TextCutter::kPieceBytes + 2);
      std::string joined;
      for (const std::string_view piece : pieces) joined += piece;
      CHECK(joined == text);
    }
  }
}

TEST_CASE("groups of three digits stay whole in a long run") {
  for (const std::string pre : {"llama-bpe", "deepseek-v3", "gpt-4o", "afmoe", "tiny_aya"}) {
    CAPTURE(pre);
    const VocabFile file(pre, {'0', '1', '2', '3', '4'});
    const TextCutter cutter(file.vocab(), {});
    const std::string text = "n " + repeat("01234", 901) + " x";
    const std::vector<std::string_view> pieces = cutter.cut(text, false, 2000);
    CHECK(pieces.size() > 2);
    CHECK(tokenize_pieces(file.vocab(), pieces) == tokenize(file.vocab(), text));
  }
}

TEST_CASE("superbpe sees short runs of digits, in the groups of the whole run") {
  const VocabFile file("superbpe", {'0', '1', '2', '3', '4'});
  const TextCutter cutter(file.vocab(), {});
  const std::string text = "n " + repeat("0123", 151) + " x" + repeat("23", 130);
  const std::vector<std::string_view> pieces = cutter.cut(text, false);
  CHECK(longest(pieces) <= 200);
  CHECK(tokenize_pieces(file.vocab(), pieces) == tokenize(file.vocab(), text));
  CHECK(cutter.cut(repeat("no digit ", 10'000), false).size() == 1);
}

TEST_CASE("one space between words is no seam where words are matched together") {
  const VocabFile file("exaone-moe", {'a', 'b', ' '});
  const TextCutter cutter(file.vocab(), {});
  const std::string text = repeat("ab ba ", 20) + "a\n" + repeat("b ", 20);
  const std::vector<std::string_view> pieces = cutter.cut(text, false, 150);
  CHECK(pieces.front().ends_with('a'));
  CHECK(tokenize_pieces(file.vocab(), pieces) == tokenize(file.vocab(), text));
}

TEST_CASE("white spaces in a row are single for a vocabulary that fails on them") {
  const VocabFile file("whitespace", {'a', 'b'});
  const TextCutter cutter(file.vocab(), {});
  CHECK(cutter.cut("a  b\xC2\xA0\n c", false) ==
        std::vector<std::string_view>{"a ", " b\xC2\xA0", "\n", " c"});
  CHECK(tokenize_pieces(file.vocab(), cutter.cut("a  b", false)).size() >= 2);
}

TEST_CASE("special tokens are not cut where they have a seam inside") {
  const std::string special = "<stop here>";
  const VocabFile file("llama-bpe", {'a', 'b'}, special);
  const TextCutter cutter(file.vocab(), {{special, file.special()}});
  const std::string text = repeat(special, 50);
  CHECK(cutter.cut(text + "a b" + text, false, 580).front() == text + "a");
}

TEST_CASE("a text with many special tokens is cut between them") {
  const VocabFile file("gemma4", {'a', '\n'}, "\n");
  const TextCutter cutter(file.vocab(), {{"\n", file.special()}});
  const std::string text = repeat("aaa\n", 2000) + "\n\na";
  const std::vector<std::string_view> pieces = cutter.cut(text, false);
  CHECK(pieces.size() == 4);
  CHECK(tokenize_pieces(file.vocab(), pieces) == tokenize(file.vocab(), text));
}

TEST_CASE("a run of special tokens is cut between them, too") {
  const VocabFile file("gemma4", {'a'}, "\n\n");
  const TextCutter cutter(file.vocab(), {{"\n\n", file.special()}});
  const std::string text = repeat("\n\n", 3000) + "\na";
  const std::vector<std::string_view> pieces = cutter.cut(text, false);
  CHECK(pieces.size() == 3);
  CHECK(tokenize_pieces(file.vocab(), pieces) == tokenize(file.vocab(), text));
}
