// Cuts long text into pieces that have the same tokens one by one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llama/cutting/lone_cutter.h"
#include "text/special_split.h"

struct llama_vocab;

namespace pyserve {

// The vendored pre-tokenizers of BPE vocabularies recurse per character (about 320 bytes of stack),
// some take time with the square or the cube of a run, and finding special tokens takes time with
// the square of their number. So the vendor sees pieces, cut at seams: places where it cuts, too,
// whatever stands around them. A run without a seam is cut inside; what that changes is told in
// docs/decisions/tokenizing.md. Immutable: any thread. The vocabulary must outlive it.
class TextCutter {
 public:
  static constexpr size_t kPieceBytes = 16 * 1024;

  TextCutter(const llama_vocab* vocab, const std::vector<SpecialToken>& specials);

  // The pieces of `text`, in order, each of about `max_bytes` at most (at least 4), except where
  // the vocabulary is safe without. `parse_special`: control tokens count as such.
  // They view `text`, which is UTF-8.
  std::vector<std::string_view> cut(std::string_view text, bool parse_special,
                                    size_t max_bytes = kPieceBytes) const;

  // How many of the first tokens of the piece at `at` are not the text's.
  size_t n_extra_tokens(std::string_view text, size_t at, bool parse_special) const;

 private:
  // How a pre-tokenizer differs from most.
  struct Rules {
    bool is_linear = false;              // is safe on any text, or has no seams
    unsigned seams = ~0u;                // what kinds of seams it has
    bool has_narrow_letters = false;     // letters from U+0530 to U+07FF are no letters
    bool groups_from_right = false;      // digits stand in groups of three from the end of the run
    bool cuts_digits_only = false;       // its only seams are around digits
    bool has_single_spaces = false;      // must see no two white spaces in a row
    size_t longest_bytes = kPieceBytes;  // of a piece
  };
  class Cursor;

  static Rules rules_of(const llama_vocab* vocab);
  bool is_seam(std::string_view text, size_t at) const;
  // Those that are found in a text.
  const SpecialSplitter& specials(bool parse_special) const;

  Rules rules_;
  SpecialSplitter specials_;
  SpecialSplitter user_defined_;           // those that are found in any text
  std::optional<LoneCutter> lone_cutter_;  // for SentencePiece
};

}  // namespace pyserve
