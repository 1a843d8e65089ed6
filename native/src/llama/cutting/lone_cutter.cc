#include "llama/cutting/lone_cutter.h"

#include <string>

#include "llama-vocab.h"
#include "llama/cutting/characters.h"

namespace pyserve {
namespace {

constexpr size_t kCharacters = 1 << 21;
constexpr size_t kSpecialsPerPiece = 512;
// Lone characters of a piece, times its bytes.
constexpr size_t kMaxCost = 1 << 18;

// Special tokens are found before anything is merged: their characters count, too.
bool is_special(const llama_vocab* vocab, llama_token token) {
  constexpr auto kSpecial =
      LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN | LLAMA_TOKEN_ATTR_USER_DEFINED;
  return (vocab->token_get_attr(token) & kSpecial) != 0;
}

std::vector<bool> joining_characters(const llama_vocab* vocab) {
  std::vector<bool> is_joining(kCharacters);
  is_joining[' '] = true;  // tokens have U+2581 for it
  for (llama_token token = 0; token < static_cast<llama_token>(vocab->n_tokens()); ++token) {
    const std::string_view text = vocab->token_get_text(token);
    if (text.empty() || (character_bytes(text, 0) == text.size() && !is_special(vocab, token))) {
      continue;
    }
    for (size_t at = 0; at < text.size(); at += character_bytes(text, at)) {
      is_joining[character_at(text, at)] = true;
    }
  }
  return is_joining;
}

size_t n_space_tokens(const llama_vocab* vocab) {
  constexpr std::string_view kSpace = "\u2581";
  if (!vocab->get_add_space_prefix()) return 0;
  return vocab->text_to_token(std::string(kSpace)) == LLAMA_TOKEN_NULL ? kSpace.size() : 1;
}

// What special tokens swallow beside them.
bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

size_t end_of_spaces(std::string_view text, size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

// Whether the spaces from `at` on go with the special token behind them. `spaces_end` is the end of
// the last run of spaces looked at.
bool is_swallowed(std::string_view text, size_t at, const SpecialSplitter& specials,
                  size_t& spaces_end) {
  if (!is_space(text[at]) || at < spaces_end) return false;
  spaces_end = end_of_spaces(text, at);
  const SpecialToken* special = specials.match(text.substr(spaces_end));
  return special != nullptr && special->strips_left;
}

// A way through a text.
struct Walk {
  size_t begin = 0;       // of the piece
  size_t anew = 0;        // where the vendor begins anew behind the last special token
  size_t spaces_end = 0;  // see is_swallowed()
  size_t n_lone = 0;      // of the piece
  size_t n_specials = 0;

  // Whether the piece should end behind the special token there. Where specials overlap, only when
  // it has grown too long; `specials_end` is the farthest end of those.
  bool may_end_at(size_t end, size_t specials_end) const {
    return n_specials >= 2 * kSpecialsPerPiece ||
           (n_specials >= kSpecialsPerPiece && specials_end == end);
  }
};

}  // namespace

LoneCutter::LoneCutter(const llama_vocab* vocab)
    : is_joining_(joining_characters(vocab)), n_space_tokens_(pyserve::n_space_tokens(vocab)) {}

std::vector<std::string_view> LoneCutter::cut(std::string_view text,
                                              const SpecialSplitter& specials) const {
  std::vector<std::string_view> pieces;
  Walk walk;
  const auto cut_at = [&](size_t end) {
    pieces.push_back(text.substr(walk.begin, end - walk.begin));
    walk = {.begin = end, .anew = walk.anew, .spaces_end = walk.spaces_end};
  };
  for (size_t at = 0; at < text.size();) {
    if (const SpecialToken* special = specials.match(text.substr(at))) {
      const size_t end = at + special->text.size();
      at = walk.anew = special->strips_right ? end_of_spaces(text, end) : end;
      ++walk.n_specials;
      if (at == end && walk.may_end_at(end, specials.end_before(text, end))) cut_at(end);
    } else if (is_swallowed(text, at, specials, walk.spaces_end)) {
      at = walk.spaces_end;
    } else {
      const bool is_dear = is_lone(text, at) && walk.n_lone++ * (at - walk.begin) > kMaxCost;
      if (is_dear && at > walk.anew && specials.end_before(text, at) < at) cut_at(at);
      at += character_bytes(text, at);
    }
  }
  if (walk.begin < text.size()) cut_at(text.size());
  return pieces;
}

size_t LoneCutter::n_extra_tokens(std::string_view text, size_t at,
                                  const SpecialSplitter& specials) const {
  if (n_space_tokens_ == 0 || at == 0 || !is_lone(text, at)) return 0;
  return specials.end_before(text, at) < at ? n_space_tokens_ : 0;
}

bool LoneCutter::is_lone(std::string_view text, size_t at) const {
  return !is_joining_[character_at(text, at)];
}

}  // namespace pyserve
