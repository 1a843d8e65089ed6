#include "sample/edits/dry_breakers.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace pyserve {
namespace {

constexpr size_t kMaxTextBytes = 40;
constexpr size_t kMaxTailTokens = 20;

bool is_at(std::span<const Token> newest_first, size_t i, const std::vector<Token>& tail) {
  if (tail.size() > i) return false;
  for (size_t k = 0; k < tail.size(); ++k) {
    if (newest_first[i - 1 - k] != tail[k]) return false;
  }
  return true;
}

// Gives each rest of a text a number in DryBreakers::tails.
class Tails {
 public:
  Tails(const Vocabulary& vocabulary, DryBreakers& out) : vocabulary_(vocabulary), out_(out) {}

  int of(std::string_view rest) {
    const auto [place, is_new] = numbers_.try_emplace(std::string(rest), out_.tails.size());
    if (is_new) {
      std::vector<Token> tokens = vocabulary_.tokenize(place->first);
      tokens.resize(std::min(tokens.size(), kMaxTailTokens));
      out_.tails.push_back(std::move(tokens));
    }
    return static_cast<int>(place->second);
  }

 private:
  const Vocabulary& vocabulary_;
  DryBreakers& out_;
  std::map<std::string, size_t> numbers_;
};

// The tails of `text` after every end of `word` that begins it.
void add_heads(Token token, std::string_view word, std::string_view text, Tails& tails,
               DryBreakers& out) {
  const size_t longest = std::min(word.size(), text.size() - 1);
  for (size_t n = 1; n <= longest; ++n) {
    if (word.substr(word.size() - n) == text.substr(0, n)) {
      out.heads.emplace_back(token, tails.of(text.substr(n)));
    }
  }
}

}  // namespace

int DryBreakers::longest_tail(std::span<const Token> newest_first, size_t i) const {
  const Token head = newest_first[i];
  int longest = is_single(head) ? 0 : -1;
  for (auto it = std::lower_bound(heads.begin(), heads.end(), std::pair(head, 0));
       it != heads.end() && it->first == head; ++it) {
    const std::vector<Token>& tail = tails[static_cast<size_t>(it->second)];
    const int n_tail = static_cast<int>(tail.size());
    if (n_tail > longest && is_at(newest_first, i, tail)) longest = n_tail;
  }
  return longest;
}

DryBreakers find_breakers(const Vocabulary& vocabulary, const std::vector<std::string>& texts) {
  std::set<std::string> wanted;
  for (const std::string& text : texts) wanted.insert(text.substr(0, kMaxTextBytes));
  wanted.erase("");
  DryBreakers out;
  if (wanted.empty()) return out;
  out.single.resize(static_cast<size_t>(vocabulary.n_tokens));
  Tails tails(vocabulary, out);
  for (Token token = 0; token < vocabulary.n_tokens; ++token) {
    const std::string word = vocabulary.text(token);
    for (const std::string& text : wanted) {
      if (word.find(text) != std::string::npos) {
        out.single[static_cast<size_t>(token)] = true;
      } else {
        add_heads(token, word, text, tails, out);
      }
    }
  }
  std::sort(out.heads.begin(), out.heads.end());
  return out;
}

}  // namespace pyserve
