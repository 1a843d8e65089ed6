#include "llama/cutting/text_cutter.h"

#include <algorithm>
#include <utility>

#include "llama-vocab.h"
#include "llama/cutting/characters.h"

namespace pyserve {
namespace {

// The left side of a seam is a letter or a digit, and the right side one of these.
enum Seam : unsigned {
  kLetterSpace = 1,
  kLetterNewline = 2,
  kLetterComma = 4,
  kLetterDigit = 8,
  kDigitSpace = 16,
  kDigitNewline = 32,
  kDigitComma = 64,
};

// In a run without seams every cut is a multiple of this many characters from its beginning, so
// that groups of three digits and powers of two of spaces stay whole.
constexpr size_t kRunStep = 3 * 512;
// The cost of the groups of digits of superbpe grows with the cube of the run.
constexpr size_t kLongestDigitRun = 192;
constexpr size_t kSpecialsPerPiece = 512;

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

size_t begin_of_character(std::string_view text, size_t at) {
  while (at > 0 && is_continuation(text[at])) --at;
  return at;
}

uint32_t character_before(std::string_view text, size_t at) {
  return character_at(text, begin_of_character(text, at - 1));
}

bool is_comma(uint32_t character) {
  constexpr uint32_t kIdeographicComma = 0x3001, kIdeographicStop = 0x3002, kWideComma = 0xFF0C;
  return character == ',' || character == '.' || character == kIdeographicComma ||
         character == kIdeographicStop || character == kWideComma;
}

unsigned seam_of(uint32_t left, uint32_t right) {
  const unicode_cpt_flags flags = unicode_cpt_flags_from_cpt(left);
  if (!flags.is_letter && !flags.is_number) return 0;
  if (right == ' ') return flags.is_letter ? kLetterSpace : kDigitSpace;
  if (right == '\n') return flags.is_letter ? kLetterNewline : kDigitNewline;
  if (is_comma(right)) return flags.is_letter ? kLetterComma : kDigitComma;
  return flags.is_letter && right >= '0' && right <= '9' ? unsigned{kLetterDigit} : 0;
}

std::vector<SpecialToken> user_defined(const llama_vocab* vocab,
                                       std::vector<SpecialToken> specials) {
  std::erase_if(specials, [vocab](const SpecialToken& special) {
    return !vocab->is_user_defined(special.token);
  });
  return specials;
}

bool is_white_space(uint32_t character) {
  return unicode_cpt_flags_from_cpt(character).is_whitespace;
}

}  // namespace

// Walks through a text and finds the end of the piece that begins where it stands.
class TextCutter::Cursor {
 public:
  Cursor(const TextCutter& cutter, std::string_view text, bool parse_special, size_t max_bytes)
      : cutter_(cutter),
        specials_(cutter.specials(parse_special)),
        text_(text),
        max_bytes_(cutter.rules_.is_linear ? text.size()
                                           : std::min(max_bytes, cutter.rules_.longest_bytes)) {}

  bool is_at_end() const { return begin_ == text_.size(); }

  std::string_view next() {
    const size_t begin = std::exchange(begin_, find_end());
    return text_.substr(begin, begin_ - begin);
  }

 private:
  size_t find_end() {
    const size_t last = begin_ + std::min(text_.size() - begin_, max_bytes_);
    if (cutter_.rules_.has_single_spaces) {
      if (const size_t at = end_between_spaces(last); at > 0) return at;
    }
    if (const size_t at = end_of_specials(last); at > 0) return at;
    if (last == text_.size()) return last;
    if (cutter_.rules_.cuts_digits_only) return end_around_digits(last);
    for (size_t at = last; at > begin_; --at) {
      if (cutter_.is_seam(text_, at)) return at;
    }
    return end_in_run(begin_of_character(text_, last));
  }

  // Behind as many special tokens as a piece may have; 0: there are fewer before `last`. In a run
  // of characters that make special tokens of several lengths any end must do.
  size_t end_of_specials(size_t last) const {
    size_t n_specials = 0;
    for (size_t at = begin_; at < last;) {
      const SpecialToken* special = specials_.match(text_.substr(at));
      at += special == nullptr ? 1 : special->text.size();
      if (special == nullptr || ++n_specials < kSpecialsPerPiece || special->strips_right) continue;
      if (n_specials >= 2 * kSpecialsPerPiece || specials_.end_before(text_, at) <= at) return at;
    }
    return 0;
  }

  // The first place between two white spaces before `last`; 0: there is none.
  size_t end_between_spaces(size_t last) const {
    bool is_after_space = false;
    for (size_t at = begin_; at < last; ++at) {
      if (is_continuation(text_[at])) continue;
      const bool is_space = is_white_space(character_at(text_, at));
      if (is_after_space && is_space) return at;
      is_after_space = is_space;
    }
    return 0;
  }

  // The first change from numbers to others or back, or a place between two groups of digits.
  size_t end_around_digits(size_t at) {
    if (is_digit(text_[at - 1]) && is_digit(text_[at])) {
      at = end_of_group(at);
      if (at < digits_end_) return at;
    }
    if (at < text_.size()) at = begin_of_character(text_, at);
    const bool is_number = is_number_at(begin_of_character(text_, at - 1));
    while (at < text_.size() && (is_continuation(text_[at]) || is_number_at(at) == is_number)) ++at;
    return at;
  }

  bool is_number_at(size_t at) const {
    return unicode_cpt_flags_from_cpt(character_at(text_, at)).is_number;
  }

  // A place in the run of characters of the same kind around `last`.
  size_t end_in_run(size_t last) {
    if (cutter_.rules_.groups_from_right && is_digit(text_[last - 1]) && is_digit(text_[last])) {
      return end_of_group(last);
    }
    const unsigned kind = kind_before(last);
    size_t begin = last;
    size_t n_characters = 0;
    for (; begin > begin_ && kind_before(begin) == kind; ++n_characters) {
      begin = begin_of_character(text_, begin - 1);
    }
    if (begin > begin_ && n_characters < kRunStep) return begin;
    if (n_characters < kRunStep) return last;
    for (size_t n_beyond = n_characters % kRunStep; n_beyond > 0; --n_beyond) {
      last = begin_of_character(text_, last - 1);
    }
    return last;
  }

  unsigned kind_before(size_t at) const {
    return unicode_cpt_flags_from_cpt(character_before(text_, at)).category_flag();
  }

  // The first place from `at` on in a run of digits that has whole groups of three behind it.
  size_t end_of_group(size_t at) {
    if (digits_end_ < at) {
      digits_end_ = at;
      while (digits_end_ < text_.size() && is_digit(text_[digits_end_])) ++digits_end_;
    }
    return at + (digits_end_ - at) % 3;
  }

  const TextCutter& cutter_;
  const SpecialSplitter& specials_;
  const std::string_view text_;
  const size_t max_bytes_;
  size_t begin_ = 0;
  size_t digits_end_ = 0;  // of the last run of digits looked at
};

TextCutter::TextCutter(const llama_vocab* vocab, const std::vector<SpecialToken>& specials)
    : rules_(rules_of(vocab)), specials_(specials), user_defined_(user_defined(vocab, specials)) {
  if (vocab->get_type() == LLAMA_VOCAB_TYPE_SPM) lone_cutter_.emplace(vocab);
}

TextCutter::Rules TextCutter::rules_of(const llama_vocab* vocab) {
  constexpr unsigned kSpaces = kLetterSpace | kDigitSpace | kLetterNewline | kDigitNewline;
  if (vocab->get_type() != LLAMA_VOCAB_TYPE_BPE) return {.is_linear = true};
  // Sequences of nucleotides between marks are one unit, however long.
  if (vocab->get_tokenizer_model() == "hybriddna") return {.is_linear = true};
  switch (vocab->get_pre_type()) {
    case LLAMA_VOCAB_PRE_TYPE_GEMMA4:
    case LLAMA_VOCAB_PRE_TYPE_SARVAM_MOE:
      return {.is_linear = true};
    case LLAMA_VOCAB_PRE_TYPE_EXAONE_MOE:
      return {.seams = ~unsigned{kLetterSpace}};
    case LLAMA_VOCAB_PRE_TYPE_PORO:
    case LLAMA_VOCAB_PRE_TYPE_BLOOM:
    case LLAMA_VOCAB_PRE_TYPE_GPT3_FINNISH:
      return {.seams = ~unsigned{kLetterDigit}};
    case LLAMA_VOCAB_PRE_TYPE_WHITESPACE:
      return {.seams = kSpaces, .has_single_spaces = true};
    case LLAMA_VOCAB_PRE_TYPE_DEEPSEEK_LLM:
      return {.has_narrow_letters = true};
    case LLAMA_VOCAB_PRE_TYPE_AFMOE:
    case LLAMA_VOCAB_PRE_TYPE_TINY_AYA:
      return {.groups_from_right = true};
    case LLAMA_VOCAB_PRE_TYPE_SUPERBPE:
      return {.cuts_digits_only = true, .longest_bytes = kLongestDigitRun};
    default:
      return {};
  }
}

std::vector<std::string_view> TextCutter::cut(std::string_view text, bool parse_special,
                                              size_t max_bytes) const {
  if (lone_cutter_) return lone_cutter_->cut(text, specials(parse_special));
  std::vector<std::string_view> pieces;
  Cursor cursor(*this, text, parse_special, max_bytes);
  while (!cursor.is_at_end()) pieces.push_back(cursor.next());
  return pieces;
}

size_t TextCutter::n_extra_tokens(std::string_view text, size_t at, bool parse_special) const {
  return lone_cutter_ ? lone_cutter_->n_extra_tokens(text, at, specials(parse_special)) : 0;
}

bool TextCutter::is_seam(std::string_view text, size_t at) const {
  if (is_continuation(text[at])) return false;
  const uint32_t left = character_before(text, at);
  const unsigned seam = seam_of(left, character_at(text, at));
  if ((seam & rules_.seams) == 0) return false;
  if (rules_.has_narrow_letters && left >= 0x530 && left < 0x800) return false;
  return specials_.end_before(text, at) <= at;
}

const SpecialSplitter& TextCutter::specials(bool parse_special) const {
  return parse_special ? specials_ : user_defined_;
}

}  // namespace pyserve
