#include "llama/prompt/chat_template.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "jinja/caps.h"
#include "jinja/lexer.h"
#include "jinja/parser.h"
#include "jinja/runtime.h"
#include "json.h"
#include "llama/prompt/arrangement.h"
#include "llama/prompt/filter_calls.h"
#include "llama/prompt/input_guard.h"
#include "llama/prompt/macro_calls.h"
#include "llama/prompt/template_guard.h"
#include "pyserve/error.h"
#include "text/raw_blocks.h"

namespace pyserve {

namespace {

common_json parse_messages(const std::string& messages_json) {
  common_json messages = common_json::parse(messages_json);
  if (!messages.is_array() || messages.empty()) {
    throw EngineError(ErrorCode::kInvalidRequest, "messages must be a non-empty array");
  }
  return messages;
}

common_json parse_or(const std::string& text, common_json absent) {
  return text.empty() ? std::move(absent) : common_json::parse(text);
}

// Messages as templates expect them that write calls and their results as JSON, which forgets what
// was input. `wants_objects`: the arguments of calls are objects, where they can be.
common_json guard_calls(const InputGuard& guard, const common_json& messages, bool wants_objects) {
  common_json guarded = common_json::array();
  for (const auto& message : messages) {
    common_json copy = message;
    if (string_field(message, "role") == "tool" && message.contains("content")) {
      copy["content"] = guard.broken(message.at("content"));
    }
    if (message.contains("tool_calls")) {
      common_json calls = message.at("tool_calls");
      for (auto& call : calls) {
        common_json& function = call["function"];
        if (wants_objects) function["arguments"] = object_or_text(function.at("arguments"));
      }
      copy["tool_calls"] = guard.broken(calls);
    }
    guarded.push_back(std::move(copy));
  }
  return guarded;
}

constexpr const char* kProbe = "Probequestion";
// A question, a call, and its result.
constexpr const char* kProbeCall =
    R"([{"role": "user", "content": "Probequestion"}, {"role": "assistant", "content": "",
    "tool_calls": [{"id": "probeid01", "type": "function", "function": {"name": "probe",
    "arguments": "{\"probekey\": \"probevalue\"}"}}]},
    {"role": "tool", "tool_call_id": "probeid01", "name": "probe", "content": "7007"}])";
constexpr const char* kProbeTools =
    R"([{"type": "function", "function": {"name": "probe", "description": "d",
    "parameters": {"type": "object", "properties": {"other": {"type": "string"}}}}}])";
// Where texts stand that a message's content was joined of, for templates that walk over them.
constexpr const char* kParts = "parts";
constexpr const char* kPartEnd = "\n";

common_json text_part(const std::string& text) {
  common_json part = common_json::object();
  part["type"] = "text";
  part["text"] = text;
  return part;
}

// The parts of a message's content. Who has changed the content since it was joined means a single
// one.
common_json content_parts(const common_json& message) {
  common_json parts = common_json::array();
  const std::string content = string_field(message, "content");
  std::string joined;
  if (message.contains(kParts)) {
    for (const auto& text : message.at(kParts)) {
      if (!parts.empty()) joined += kPartEnd;
      joined += text.get<std::string>();
      parts.push_back(text_part(text.get<std::string>()));
    }
  }
  if (!parts.empty() && joined == content) return parts;
  common_json one = common_json::array();
  one.push_back(text_part(content));
  return one;
}

// `wants_parts`: contents that are texts become lists of parts.
common_json with_contents(const common_json& messages, bool wants_parts) {
  common_json shaped = common_json::array();
  for (const auto& message : messages) {
    common_json copy = message;
    const bool is_text = message.contains("content") && message.at("content").is_string();
    if (wants_parts && is_text) copy["content"] = content_parts(message);
    if (copy.contains(kParts)) copy.erase(kParts);
    shaped.push_back(std::move(copy));
  }
  return shaped;
}

// Roles name control tokens in many templates, and they come from a fixed list, not from users.
void unmark_roles(jinja::context& context) {
  for (const jinja::value& message : context.get_val("messages")->as_array()) {
    jinja::value none = jinja::mk_val<jinja::value_none>();
    const jinja::value role = message->at("role", none);
    if (role->is_none()) continue;
    message->insert(jinja::mk_val<jinja::value_string>(std::string("role")),
                    jinja::mk_val<jinja::value_string>(role->as_string().str()));
  }
}

// The sentence in the vendor's report, which shows the source of the template around it.
std::string sentence(const std::string& report) {
  for (const std::string mark : {"\nError: Jinja Exception: ", "\nError: "}) {
    const size_t pos = report.rfind(mark);
    if (pos != std::string::npos) return report.substr(pos + mark.size());
  }
  return report;
}

std::string titled(std::string role) {
  if (!role.empty()) role[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(role[0])));
  return role;
}

std::vector<PromptPart> render_transcript(const common_json& messages, bool is_asked) {
  std::vector<PromptPart> parts;
  for (const auto& message : messages) {
    const std::string role = string_field(message, "role");
    const bool is_system = role == "system";
    if (!is_system) parts.push_back({titled(role) + ": ", false});
    parts.push_back({string_field(message, "content"), true});
    parts.push_back({is_system ? "\n\n" : "\n", false});
  }
  if (is_asked) parts.push_back({"Assistant:", false});
  return parts;
}

// The template's variable by which the prompt ends with the head of the answer.
constexpr const char* kGenerationPrompt = "add_generation_prompt";

bool is_asked(const ChatPrompt& prompt) {
  return parse_or(prompt.kwargs_json, common_json::object()).value(kGenerationPrompt, true);
}

}  // namespace

struct ChatTemplate::Program {
  jinja::program program;
  std::string source;
  std::string bos_text;
  std::string eos_text;
  jinja::caps caps;
  InputGuard guard;
  bool wants_parts = false;  // its messages' contents are lists, never texts
  bool gives_none = true;    // tools and documents that are not there are none, not undefined

  bool wants_objects = caps.supports_object_arguments;  // arguments of calls are no texts

  // Finds out how it takes arguments: as texts some refuse them or write them as texts, as objects
  // some write them as Python does.
  void try_call() {
    for (const bool as_objects : {true, false}) {
      wants_objects = as_objects;
      if (shows_call()) return;
    }
    wants_objects = caps.supports_object_arguments;
  }

  bool shows_call() const {
    ChatPrompt asked;
    asked.tools_json = kProbeTools;
    const std::string text = shown(common_json::parse(kProbeCall), asked);
    const auto has = [&](const char* part) { return text.find(part) != text.npos; };
    return has("probekey") && has("probevalue") && !has("'probekey'") && !has("\\\"probekey");
  }

  // The prompt as one text; "" where it is refused.
  std::string shown(const common_json& messages, const ChatPrompt& prompt) const {
    try {
      std::string text;
      for (const PromptPart& part : run(messages, prompt)) text += part.text;
      return text;
    } catch (const std::exception&) {
      return {};
    }
  }

  // Finds out how it takes a question.
  void try_question() {
    for (const bool is_none : {true, false}) {
      for (const bool as_parts : {false, true}) {
        gives_none = is_none;
        wants_parts = as_parts;
        if (shows_question()) return;
      }
    }
    gives_none = true;
    wants_parts = false;
  }

  bool shows_question() const {
    common_json question = common_json::object();
    question["role"] = "user";
    question["content"] = kProbe;
    common_json messages = common_json::array();
    messages.push_back(std::move(question));
    return shown(messages, ChatPrompt()).find(kProbe) != std::string::npos;
  }

  // Sets a variable, to none where it has no value: most templates were written for that.
  void give(common_json& globals, const char* name, const std::string& value_json) const {
    if (!value_json.empty()) {
      globals[name] = guard.broken(common_json::parse(value_json));
    } else if (gives_none && !globals.contains(name)) {
      globals[name] = nullptr;
    }
  }

  // The prompt of a conversation. Throws std::exception when the template refuses it.
  std::vector<PromptPart> run(const common_json& given, const ChatPrompt& prompt) const {
    common_json merged;
    if (!caps.supports_system_role) merged = merge_system_into_user(given);
    const common_json& known = caps.supports_system_role ? given : merged;
    common_json messages = guard_calls(guard, known, wants_objects);
    messages = with_contents(messages, wants_parts);

    jinja::context context(source);
    common_json globals = guard.broken(parse_or(prompt.kwargs_json, common_json::object()));
    if (!globals.contains(kGenerationPrompt)) globals[kGenerationPrompt] = true;
    globals["messages"] = std::move(messages);
    give(globals, "tools", prompt.tools_json);
    give(globals, "documents", prompt.documents_json);
    jinja::global_from_json(context, globals, true);
    unmark_roles(context);
    context.set_val("bos_token", jinja::mk_val<jinja::value_string>(bos_text));
    context.set_val("eos_token", jinja::mk_val<jinja::value_string>(eos_text));

    jinja::runtime runtime(context);
    const auto result = jinja::runtime::gather_string_parts(runtime.execute(program));
    std::vector<PromptPart> parts;
    for (jinja::string_part& part : result->val_str.parts) {
      InputGuard::add_mended({std::move(part.val), part.is_input}, parts);
    }
    return parts;
  }
};

ChatTemplate::ChatTemplate(const std::string& source, std::string bos_text, std::string eos_text,
                           std::vector<SpecialToken> specials, std::string owner)
    : owner_(std::move(owner)) {
  if (source.empty()) return;
  try {
    jinja::lexer lexer;
    const jinja::lexer_result tokens = lexer.tokenize(without_raw_blocks(source));
    check_template_size(tokens);
    jinja::program program = jinja::parse_from_tokens(tokens);
    settle_macro_calls(program);
    settle_filter_calls(program);
    guard_template(program);
    const TemplateBudget budget;
    const jinja::caps caps = jinja::caps_get(program);  // tries it on some conversations
    if (budget.is_exhausted()) TemplateBudget::charge();
    auto made = std::make_unique<Program>(Program{std::move(program), tokens.source,
                                                  std::move(bos_text), std::move(eos_text), caps,
                                                  InputGuard(std::move(specials))});
    made->try_question();
    made->try_call();
    if (budget.is_exhausted()) TemplateBudget::charge();
    program_ = std::move(made);
  } catch (const std::exception& error) {
    defect_ = owner_ + " cannot be used: " + error.what();
  }
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;

std::vector<PromptPart> ChatTemplate::render(const ChatPrompt& prompt) const {
  if (!defect_.empty()) {
    throw EngineError(ErrorInfo{ErrorCode::kInvalidRequest, defect_, "messages", {}});
  }
  std::string refusal;
  try {
    const TemplateBudget budget;
    const common_json messages = parse_messages(prompt.messages_json);
    if (!program_) return render_transcript(messages, is_asked(prompt));
    std::vector<std::string> tried;
    std::vector<PromptPart> incomplete;
    for (const Arrange& arrange : arrangements()) {
      common_json arranged;
      if (arrange) arranged = arrange(messages);
      const common_json& conversation = arrange ? arranged : messages;
      if (arrange && std::ranges::find(tried, conversation.dump()) != tried.end()) continue;
      try {
        std::vector<PromptPart> parts = program_->run(conversation, prompt);
        if (shows_system(conversation, parts)) return parts;
        if (incomplete.empty()) incomplete = std::move(parts);
      } catch (const EngineError&) {
        throw;
      } catch (const std::exception& error) {
        if (refusal.empty()) refusal = sentence(error.what());
        if (budget.is_exhausted()) break;
      }
      tried.push_back(conversation.dump());
    }
    if (!incomplete.empty()) return incomplete;
  } catch (const EngineError&) {
    throw;
  } catch (const std::exception& error) {
    refusal = error.what();
  }
  throw EngineError(ErrorInfo{
      ErrorCode::kInvalidRequest, owner_ + " refuses these messages: " + refusal, "messages", {}});
}

std::vector<std::string> ChatTemplate::stop_strings() const {
  if (program_ || !defect_.empty()) return {};
  return {"\nUser:", "\nSystem:", "\nTool:"};
}

}  // namespace pyserve
