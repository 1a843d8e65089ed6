#include "text/special_split.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace pyserve {
namespace {

constexpr std::string_view kSpace = " \t\n\r\v\f";

// Collects pieces: plain text grows until a control token closes it.
class PieceBuilder {
 public:
  void add_text(std::string_view text) {
    if (skip_space_) {
      const size_t begin = text.find_first_not_of(kSpace);
      if (begin == std::string_view::npos) return;
      text.remove_prefix(begin);
      skip_space_ = false;
    }
    plain_.append(text);
  }

  void add_special(const SpecialToken& special) {
    if (special.strips_left) plain_.erase(plain_.find_last_not_of(kSpace) + 1);
    flush();
    pieces_.emplace_back(special.token);
    skip_space_ = special.strips_right;
  }

  std::vector<SpecialSplitter::Piece> take() {
    flush();
    return std::move(pieces_);
  }

 private:
  void flush() {
    if (!plain_.empty()) pieces_.emplace_back(std::exchange(plain_, {}));
  }

  std::vector<SpecialSplitter::Piece> pieces_;
  std::string plain_;
  bool skip_space_ = false;
};

}  // namespace

SpecialSplitter::SpecialSplitter(std::vector<SpecialToken> specials) {
  std::erase_if(specials, [](const SpecialToken& special) { return special.text.empty(); });
  std::stable_sort(specials.begin(), specials.end(),
                   [](const auto& a, const auto& b) { return a.text < b.text; });
  for (SpecialToken& special : specials) {
    longest_bytes_ = std::max(longest_bytes_, special.text.size());
    by_first_byte_[static_cast<unsigned char>(special.text[0])].push_back(std::move(special));
  }
}

std::vector<SpecialSplitter::Piece> SpecialSplitter::split(
    const std::vector<PromptPart>& parts) const {
  PieceBuilder builder;
  for (const PromptPart& part : parts) {
    if (part.is_input) {
      builder.add_text(part.text);
      continue;
    }
    std::string_view rest = part.text;
    size_t n_plain = 0;
    while (n_plain < rest.size()) {
      const SpecialToken* special = match(rest.substr(n_plain));
      if (special == nullptr) {
        ++n_plain;
        continue;
      }
      builder.add_text(rest.substr(0, n_plain));
      builder.add_special(*special);
      rest.remove_prefix(n_plain + special->text.size());
      n_plain = 0;
    }
    builder.add_text(rest);
  }
  return builder.take();
}

size_t SpecialSplitter::match_bytes(std::string_view text) const {
  const SpecialToken* special = match(text);
  return special == nullptr ? 0 : special->text.size();
}

size_t SpecialSplitter::end_before(std::string_view text, size_t at) const {
  size_t end = 0;
  for (size_t begin = at - std::min(at, longest_bytes_); begin < at; ++begin) {
    const size_t n_bytes = match_bytes(text.substr(begin));
    if (n_bytes > 0) end = std::max(end, begin + n_bytes);
  }
  return end;
}

const SpecialToken* SpecialSplitter::match(std::string_view text) const {
  if (text.empty()) return nullptr;
  const std::vector<SpecialToken>& specials = by_first_byte_[static_cast<unsigned char>(text[0])];
  const SpecialToken* longest = nullptr;
  auto low = specials.begin();
  auto high = specials.end();
  for (size_t n = 0; low != high; ++n) {
    // All in [low, high) begin with the first n bytes of `text`; the shortest is the first.
    if (low->text.size() == n) longest = &*low;
    if (n == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[n]);
    low = std::lower_bound(low, high, byte, [n](const SpecialToken& special, unsigned char value) {
      return special.text.size() == n || static_cast<unsigned char>(special.text[n]) < value;
    });
    high = std::upper_bound(low, high, byte, [n](unsigned char value, const SpecialToken& special) {
      return value < static_cast<unsigned char>(special.text[n]);
    });
  }
  return longest;
}

}  // namespace pyserve
