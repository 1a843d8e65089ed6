#include "text/raw_blocks.h"

#include <algorithm>
#include <optional>

namespace pyserve {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kIndent = " \t";
constexpr std::string_view kComment = "{#";
constexpr std::string_view kCommentEnd = "#}";

// A tag such as {%- raw -%}: where it stands, and what white space around it goes.
struct Tag {
  size_t begin;
  size_t end;
  bool strips_before;
  bool strips_after;
};

bool is_sign(char letter) { return letter == '-' || letter == '+'; }

// The tag at `at`, if it is one of nothing but `word`.
std::optional<Tag> tag_at(std::string_view source, size_t at, std::string_view word) {
  if (source.substr(at, 2) != "{%") return std::nullopt;
  Tag tag{at, at + 2, false, false};
  if (tag.end < source.size() && is_sign(source[tag.end])) {
    tag.strips_before = source[tag.end++] == '-';
  }
  tag.end = source.find_first_not_of(kSpace, tag.end);
  if (tag.end == source.npos || source.substr(tag.end, word.size()) != word) return std::nullopt;
  tag.end = source.find_first_not_of(kSpace, tag.end + word.size());
  if (tag.end == source.npos) return std::nullopt;
  if (is_sign(source[tag.end])) tag.strips_after = source[tag.end++] == '-';
  if (source.substr(tag.end, 2) != "%}") return std::nullopt;
  tag.end += 2;
  return tag;
}

std::optional<Tag> next_tag(std::string_view source, size_t from, std::string_view word) {
  for (size_t at = source.find("{%", from); at != source.npos; at = source.find("{%", at + 2)) {
    if (std::optional<Tag> tag = tag_at(source, at, word)) return tag;
  }
  return std::nullopt;
}

std::string_view without_space_after(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpace);
  return text.substr(0, last == text.npos ? 0 : last + 1);
}

std::string_view without_space_before(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  return first == text.npos ? std::string_view() : text.substr(first);
}

// The text from `begin` up to `tag`, without the indentation of a tag on a line of its own.
std::string_view before_tag(std::string_view source, size_t begin, const Tag& tag) {
  const std::string_view text = source.substr(begin, tag.begin - begin);
  if (tag.strips_before) return without_space_after(text);
  if (source[tag.begin + 2] == '+') return text;
  const size_t last = text.find_last_not_of(kIndent);
  if (last != text.npos) return text[last] == '\n' ? text.substr(0, last + 1) : text;
  return begin == 0 || source[begin - 1] == '\n' ? std::string_view() : text;
}

std::string as_expression(std::string_view text) {
  std::string expression = "{{ '";
  for (const char letter : text) {
    if (letter == '\\' || letter == '\'') expression += '\\';
    expression += letter;
  }
  return expression + "' }}";
}

}  // namespace

std::string without_raw_blocks(std::string_view source) {
  std::string out;
  size_t done = 0;
  while (done < source.size()) {
    const size_t at = source.find('{', done);
    if (at == source.npos) break;
    if (source.substr(at, 2) == kComment) {
      const size_t end = source.find(kCommentEnd, at);
      const size_t next = end == source.npos ? source.size() : end + kCommentEnd.size();
      out += source.substr(done, next - done);
      done = next;
      continue;
    }
    const std::optional<Tag> begin = tag_at(source, at, "raw");
    const std::optional<Tag> end = begin ? next_tag(source, begin->end, "endraw") : std::nullopt;
    if (begin && !end) break;
    if (!end) {
      out += source.substr(done, at + 1 - done);
      done = at + 1;
      continue;
    }
    const std::string_view text = before_tag(source, begin->end, *end);
    out += before_tag(source, done, *begin);
    out += as_expression(begin->strips_after ? without_space_before(text) : text);
    done = end->end;
    if (end->strips_after) {
      done = std::min(source.find_first_not_of(kSpace, done), source.size());
    } else if (done < source.size() && source[done] == '\n') {
      ++done;
    }
  }
  return out.append(source.substr(std::min(done, source.size())));
}

}  // namespace pyserve
