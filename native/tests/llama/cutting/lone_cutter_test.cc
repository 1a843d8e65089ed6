#include "llama/cutting/lone_cutter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "vocab_file.h"

using namespace pyserve;

namespace {

// Words, and characters that no token has, or none but one of their own: \t, 中, 文.
constexpr const char* kFragments[] = {"a",  "b",   "ab",     " ",       "  ",
                                      "\n", "\t",  "中",     "文",      "\xEE\x80\x80",
                                      "é",  "<x>", "<left>", "<right>", "<"};

// A SentencePiece vocabulary, which has a token for the space before texts, or spells it.
VocabModel sentencepiece(bool has_space_token) {
  VocabFields fields;
  fields.model = "llama";
  fields.pre = "default";
  fields.add("<s>", LLAMA_TOKEN_TYPE_CONTROL);
  fields.add("</s>", LLAMA_TOKEN_TYPE_CONTROL);
  fields.add("<unk>", LLAMA_TOKEN_TYPE_UNKNOWN);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    fields.add(name, LLAMA_TOKEN_TYPE_BYTE);
  }
  for (const char* text : {"a", "b", "ab", "\u2581a", "aa", "\u2581\u2581", "中"}) {
    fields.add(text, LLAMA_TOKEN_TYPE_NORMAL);
  }
  if (has_space_token) fields.add("\u2581", LLAMA_TOKEN_TYPE_NORMAL);
  fields.add("<x>", LLAMA_TOKEN_TYPE_USER_DEFINED);
  fields.add("\n", LLAMA_TOKEN_TYPE_USER_DEFINED);
  return load_vocab(fields);
}

std::vector<llama_token> tokenize(const llama_vocab* vocab, std::string_view text) {
  std::vector<llama_token> tokens(4 * text.size() + 16);
  tokens.resize(llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                               static_cast<int>(tokens.size()), false, false));
  return tokens;
}

std::vector<llama_token> tokenize_pieces(const llama_vocab* vocab, const LoneCutter& cutter,
                                         std::string_view text, const SpecialSplitter& specials) {
  std::vector<llama_token> tokens;
  for (const std::string_view piece : cutter.cut(text, specials)) {
    const std::vector<llama_token> more = tokenize(vocab, piece);
    const size_t n_extra = cutter.n_extra_tokens(text, piece.data() - text.data(), specials);
    tokens.insert(tokens.end(), more.begin() + n_extra, more.end());
  }
  return tokens;
}

std::string random_text(std::mt19937& rng, size_t n_bytes) {
  std::string text;
  while (text.size() < n_bytes) {
    const char* fragment = kFragments[rng() % std::size(kFragments)];
    for (int n = rng() % 100 == 0 ? 600 : 1 + rng() % 3; n > 0; --n) text += fragment;
  }
  return text;
}

}  // namespace

TEST_CASE("the pieces of a text have the tokens of the text, for SentencePiece") {
  std::mt19937 rng(1);
  for (const bool has_space_token : {false, true}) {
    const VocabModel model = sentencepiece(has_space_token);
    const llama_vocab* vocab = llama_model_get_vocab(model.get());
    const LoneCutter cutter(vocab);
    const SpecialSplitter specials({{"<x>", 0}, {"\n", 1}});
    for (int i = 0; i < 20; ++i) {
      const std::string text = random_text(rng, 20'000);
      CAPTURE(text);
      CHECK(cutter.cut(text, specials).size() > 2);
      CHECK(tokenize_pieces(vocab, cutter, text, specials) == tokenize(vocab, text));
    }
  }
}

TEST_CASE("a run of a character without a token is cut, one of tokens is not") {
  const VocabModel model = sentencepiece(true);
  const LoneCutter cutter(llama_model_get_vocab(model.get()));
  const SpecialSplitter none({});
  for (const std::string unit : {"é", "\t", "中", "\xEE\x80\x80"}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    size_t longest = 0;
    for (const std::string_view piece : cutter.cut(text, none)) {
      longest = std::max(longest, piece.size());
    }
    CHECK(longest < 2000);
  }
  CHECK(cutter.cut(std::string(100'000, 'a'), none).size() == 1);
}

TEST_CASE("white space that goes with a special token is not cut") {
  const VocabModel model = sentencepiece(true);
  const LoneCutter cutter(llama_model_get_vocab(model.get()));
  const SpecialSplitter specials({{"<left>", 0, true, false}, {"<right>", 0, false, true}});
  const std::string tabs(2000, '\t');
  CHECK(cutter.cut("a" + tabs + "<left>", specials).size() == 1);
  CHECK(cutter.cut("<right>" + tabs, specials).size() == 1);
  CHECK(cutter.cut("<left>" + tabs + "<right>", specials).size() > 1);
}

TEST_CASE("a text with many special tokens is cut behind them") {
  const VocabModel model = sentencepiece(true);
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const LoneCutter cutter(vocab);
  const SpecialSplitter specials({{"\n", 0}});
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "é\n";
  CHECK(cutter.cut(text, specials).size() == 4);
  CHECK(tokenize_pieces(vocab, cutter, text, specials) == tokenize(vocab, text));
}
