#include "llama/prompt/input_guard.h"

#include <algorithm>
#include <random>

#include "json.h"

namespace pyserve {
namespace {

constexpr int kMaxDepth = 64;

// U+FDD0, a noncharacter, and digits, which no filter of a template changes.
std::string new_break() {
  std::random_device random;
  std::string text = "\xEF\xB7\x90";
  for (int i = 0; i < 20; ++i) text += static_cast<char>('0' + random() % 10);
  return text;
}

const std::string& break_text() {
  static const std::string text = new_break();
  return text;
}

// The deepest nesting of brackets outside of strings.
int json_depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool is_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char byte = text[i];
    if (is_string) {
      if (byte == '\\') ++i;
      is_string = byte != '"';
      continue;
    }
    is_string = byte == '"';
    if (byte == '{' || byte == '[') deepest = std::max(deepest, ++depth);
    if (byte == '}' || byte == ']') --depth;
  }
  return deepest;
}

}  // namespace

std::string InputGuard::broken_text(std::string_view text) const {
  std::string out;
  while (!text.empty()) {
    const bool is_special = specials_.match_bytes(text) > 0;
    out += text[0];
    text.remove_prefix(1);
    if (!is_special) continue;
    // The break goes behind the first character, which may have more bytes.
    while (!text.empty() && (static_cast<unsigned char>(text[0]) & 0xC0) == 0x80) {
      out += text[0];
      text.remove_prefix(1);
    }
    out += break_text();
  }
  return out;
}

common_json InputGuard::broken(const common_json& value) const {
  if (value.is_string()) return broken_text(value.get<std::string>());
  if (value.is_array()) {
    common_json items = common_json::array();
    for (const auto& item : value) items.push_back(broken(item));
    return items;
  }
  if (!value.is_object()) return value;
  common_json members = common_json::object();
  for (const auto& member : value.items()) {
    members[broken_text(member.key())] = broken(member.value());
  }
  return members;
}

void InputGuard::add_mended(PromptPart part, std::vector<PromptPart>& parts) {
  const std::string& mark = break_text();
  std::string_view rest = part.text;
  for (size_t at = rest.find(mark); at != rest.npos; at = rest.find(mark)) {
    parts.push_back({std::string(rest.substr(0, at)), part.is_input});
    rest.remove_prefix(at + mark.size());
  }
  parts.push_back({std::string(rest), part.is_input});
}

common_json object_or_text(const common_json& arguments) {
  if (!arguments.is_string()) return arguments;
  const auto text = arguments.get<std::string>();
  if (json_depth(text) > kMaxDepth) return arguments;
  common_json parsed = common_json::parse_no_throw(text);
  return !parsed.is_discarded() && parsed.is_object() ? parsed : arguments;
}

}  // namespace pyserve
