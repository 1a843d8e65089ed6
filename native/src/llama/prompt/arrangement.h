// Arranges a conversation for a template that refuses it, or leaves out a part: some allow no
// system message but the first, some no two turns of one role in a row, some no system message at
// all.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "json.h"
#include "text/special_split.h"

namespace pyserve {

inline std::string string_field(const common_json& message, const char* key) {
  if (!message.contains(key) || !message.at(key).is_string()) return {};
  return message.at(key).get<std::string>();
}

// Templates that know no system role get its text before the first user message.
inline common_json merge_system_into_user(const common_json& messages) {
  std::string system;
  common_json merged = common_json::array();
  for (const auto& message : messages) {
    if (string_field(message, "role") == "system") {
      system += string_field(message, "content") + "\n\n";
      continue;
    }
    common_json copy = message;
    if (!system.empty() && string_field(message, "role") == "user") {
      copy["content"] = std::exchange(system, {}) + string_field(message, "content");
    }
    merged.push_back(std::move(copy));
  }
  if (!system.empty()) {
    common_json user = common_json::object();
    user["role"] = "user";
    user["content"] = system;
    merged.push_back(std::move(user));
  }
  return merged;
}

// All system messages become one, at the beginning.
inline common_json hoist_system(const common_json& messages) {
  std::string system;
  common_json others = common_json::array();
  for (const auto& message : messages) {
    if (string_field(message, "role") != "system") {
      others.push_back(message);
      continue;
    }
    if (!system.empty()) system += "\n\n";
    system += string_field(message, "content");
  }
  if (others.size() == messages.size()) return messages;
  common_json first = common_json::object();
  first["role"] = "system";
  first["content"] = system;
  common_json hoisted = common_json::array();
  hoisted.push_back(std::move(first));
  for (const auto& message : others) hoisted.push_back(message);
  return hoisted;
}

// Turns of one role in a row become one. Calls and their results stay as they are.
inline common_json merge_turns(const common_json& messages) {
  const auto can_merge = [](const common_json& message) {
    const std::string role = string_field(message, "role");
    return (role == "system" || role == "user" || role == "assistant") &&
           !message.contains("tool_calls") && message.contains("content") &&
           message.at("content").is_string();
  };
  std::vector<common_json> merged;
  for (const auto& message : messages) {
    if (merged.empty() || !can_merge(message) || !can_merge(merged.back()) ||
        string_field(merged.back(), "role") != string_field(message, "role")) {
      merged.push_back(message);
      continue;
    }
    common_json& last = merged.back();
    for (const char* key : {"content", "reasoning_content"}) {
      const std::string before = string_field(last, key);
      const std::string more = string_field(message, key);
      if (!more.empty()) last[key] = before.empty() ? more : before + "\n\n" + more;
    }
  }
  common_json turns = common_json::array();
  for (common_json& message : merged) turns.push_back(std::move(message));
  return turns;
}

inline std::string trimmed(const std::string& text) {
  const char* const spaces = " \t\r\n";
  const size_t begin = text.find_first_not_of(spaces);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(spaces) + 1 - begin);
}

// Whether the prompt has the texts of all system messages. Some templates silently leave out those
// that are not where they look for them, and one at the beginning where the last message is a
// result.
inline bool shows_system(const common_json& messages, const std::vector<PromptPart>& prompt) {
  std::vector<std::string> systems;
  for (const auto& message : messages) {
    if (string_field(message, "role") != "system") continue;
    systems.push_back(trimmed(string_field(message, "content")));
  }
  if (systems.empty()) return true;
  std::string text;
  for (const PromptPart& part : prompt) text += part.text;
  return std::ranges::all_of(
      systems, [&](const std::string& system) { return text.find(system) != text.npos; });
}

using Arrange = std::function<common_json(const common_json&)>;

// What changes a conversation less comes before what changes it more; the first, which is empty,
// leaves it as it is.
inline std::vector<Arrange> arrangements() {
  return {
      nullptr,
      merge_turns,
      hoist_system,
      [](const common_json& messages) { return merge_turns(hoist_system(messages)); },
      [](const common_json& messages) { return merge_turns(merge_system_into_user(messages)); },
  };
}

}  // namespace pyserve
