#include <algorithm>
#include <string>

#include "grammar/builder.h"
#include "grammar/grammar.h"
#include "grammar/utf8_ranges.h"

namespace pyserve {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// rules: name ::= alternatives, up to the end of the line; in parentheses lines may end.
class GrammarParser {
 public:
  explicit GrammarParser(std::string_view text) : text_(text) {}

  Grammar parse() {
    skip_space(true);
    while (!at_end()) parse_rule();
    return builder_.finish();
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<long>(pos_), '\n');
    refuse_grammar(why + " in line " + std::to_string(line));
  }

  bool at_end() const { return pos_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[pos_]; }
  bool take(char c) {
    if (at_end() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string("'") + c + "' is missing");
  }

  void skip_space(bool with_newlines) {
    while (!at_end()) {
      const char c = text_[pos_];
      if (c == '#') {
        while (!at_end() && text_[pos_] != '\n' && text_[pos_] != '\r') ++pos_;
      } else if (c == ' ' || c == '\t' || (with_newlines && (c == '\n' || c == '\r'))) {
        ++pos_;
      } else {
        return;
      }
    }
  }

  std::string parse_name() {
    const size_t begin = pos_;
    while (is_name_char(peek())) ++pos_;
    if (pos_ == begin) fail("a name is missing");
    return std::string(text_.substr(begin, pos_ - begin));
  }

  void parse_rule() {
    const std::string name = parse_name();
    skip_space(false);
    for (const char c : {':', ':', '='}) expect(c);
    skip_space(true);
    const int32_t rule = builder_.rule(name);
    if (builder_.is_defined(rule)) fail("the rule " + name.substr(0, 64) + " is defined again");
    builder_.define(rule, parse_alternatives(0));
    if (!at_end() && peek() != '\n' && peek() != '\r') fail("the end of the line is missing");
    skip_space(true);
  }

  GrammarCode parse_alternatives(int depth) {
    std::vector<GrammarCode> codes;
    codes.push_back(parse_sequence(depth));
    while (take('|')) {
      skip_space(true);
      codes.push_back(parse_sequence(depth));
    }
    return builder_.alternatives(std::move(codes));
  }

  GrammarCode parse_sequence(int depth) {
    GrammarCode all;
    GrammarCode item;
    while (parse_item(depth, item)) {
      skip_space(depth > 0);
      parse_repetitions(depth, item);
      all.insert(all.end(), item.begin(), item.end());
      if (all.size() > kMaxGrammarOps) fail("the grammar is too large");
    }
    return all;
  }

  bool parse_item(int depth, GrammarCode& item) {
    const char c = peek();
    if (c == '"') {
      item = parse_literal();
    } else if (c == '[') {
      item = parse_class();
    } else if (c == '.') {
      ++pos_;
      item = builder_.char_class({{0, kMaxCodePoint}}, false);
    } else if (c == '(') {
      item = parse_group(depth);
    } else if (is_name_char(c)) {
      item = {{GrammarOp::Kind::kCall, 0, 0, builder_.rule(parse_name())}};
    } else if (c == '<' || c == '!') {
      fail("tokens are not supported");
    } else {
      return false;
    }
    return true;
  }

  GrammarCode parse_group(int depth) {
    if (depth >= kMaxGrammarDepth) {
      fail("more than " + std::to_string(kMaxGrammarDepth) + " nested parentheses");
    }
    ++pos_;
    skip_space(true);
    GrammarCode code = parse_alternatives(depth + 1);
    expect(')');
    return code;
  }

  GrammarCode parse_literal() {
    ++pos_;
    GrammarCode code;
    while (!take('"')) {
      const GrammarCode next = builder_.character(parse_char());
      code.insert(code.end(), next.begin(), next.end());
    }
    return code;
  }

  GrammarCode parse_class() {
    ++pos_;
    const bool is_negated = take('^');
    std::vector<CodePointRange> ranges;
    while (!take(']')) {
      const uint32_t low = parse_char();
      uint32_t high = low;
      if (peek() == '-' && pos_ + 1 < text_.size() && text_[pos_ + 1] != ']') {
        ++pos_;
        high = parse_char();
      }
      if (high < low) fail("a range of characters ends before it begins");
      ranges.emplace_back(low, high);
    }
    if (ranges.empty()) fail("a class of characters is empty");
    return builder_.char_class(std::move(ranges), is_negated);
  }

  // The repetitions after an item: * + ? {m} {m,} {m,n}, one or more.
  void parse_repetitions(int depth, GrammarCode& item) {
    for (;; skip_space(depth > 0)) {
      if (take('*')) {
        item = builder_.repeat(std::move(item), 0, -1);
      } else if (take('+')) {
        item = builder_.repeat(std::move(item), 1, -1);
      } else if (take('?')) {
        item = builder_.repeat(std::move(item), 0, 1);
      } else if (take('{')) {
        const int low = parse_count();
        int high = low;
        if (take(',')) {
          skip_space(false);
          high = is_digit(peek()) ? parse_count() : -1;
        }
        expect('}');
        item = builder_.repeat(std::move(item), low, high);
      } else {
        return;
      }
    }
  }

  int parse_count() {
    skip_space(false);
    if (!is_digit(peek())) fail("a number of repetitions is missing");
    int count = 0;
    while (is_digit(peek())) {
      count = std::min(count * 10 + (text_[pos_] - '0'), kMaxGrammarRepeat + 1);
      ++pos_;
    }
    skip_space(false);
    return count;
  }

  uint32_t parse_char() {
    if (at_end()) fail("the text ends within quotes or brackets");
    const auto c = static_cast<uint8_t>(text_[pos_]);
    if (c == '\\') return parse_escape();
    if (c == '\n' || c == '\r') fail("the line ends within quotes or brackets");
    return parse_utf8();
  }

  uint32_t parse_escape() {
    ++pos_;
    const char c = peek();
    ++pos_;
    switch (c) {
      case 'x':
        return parse_hex(2);
      case 'u':
        return parse_hex(4);
      case 'U':
        return parse_hex(8);
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'n':
        return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
        return static_cast<uint8_t>(c);
      default:
        pos_ = std::min(pos_, text_.size());
        fail("an escape is not known");
    }
  }

  uint32_t parse_hex(int n_digits) {
    uint32_t value = 0;
    for (int i = 0; i < n_digits; ++i) {
      const int digit = hex_value(peek());
      if (digit < 0) fail("a hexadecimal digit is missing");
      value = value * 16 + static_cast<uint32_t>(digit);
      ++pos_;
    }
    if (!is_scalar_value(value)) fail("an escape names no Unicode character");
    return value;
  }

  uint32_t parse_utf8() {
    const auto lead = static_cast<uint8_t>(text_[pos_]);
    const int n = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (n == 0 || lead >= 0xF8 || pos_ + n > text_.size()) fail("the text is not UTF-8");
    uint32_t value = n == 1 ? lead : lead & (0xFFU >> (n + 1));
    for (int i = 1; i < n; ++i) {
      const auto byte = static_cast<uint8_t>(text_[pos_ + i]);
      if ((byte & 0xC0) != 0x80) fail("the text is not UTF-8");
      value = (value << 6) | (byte & 0x3F);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < kLeast[n] || !is_scalar_value(value)) fail("the text is not UTF-8");
    pos_ += n;
    return value;
  }

  std::string_view text_;
  size_t pos_ = 0;
  GrammarBuilder builder_;
};

}  // namespace

Grammar compile_grammar(std::string_view text) {
  if (text.size() > kMaxGrammarBytes) {
    refuse_grammar(std::to_string(text.size()) + " bytes, at most " +
                   std::to_string(kMaxGrammarBytes) + " are allowed");
  }
  return GrammarParser(text).parse();
}

}  // namespace pyserve
