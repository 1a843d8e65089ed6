#include "pyserve/prompt_template.h"

#include <utility>

#include "llama/prompt/chat_template.h"
#include "pyserve/error.h"

namespace pyserve {
namespace {

std::vector<SpecialToken> named(const std::vector<std::string>& texts) {
  std::vector<SpecialToken> tokens;
  tokens.reserve(texts.size());
  for (const std::string& text : texts) tokens.push_back({.text = text});
  return tokens;
}

}  // namespace

struct PromptTemplate::Impl {
  ChatTemplate chat_template;
};

PromptTemplate::PromptTemplate(const std::string& source, std::string bos_text,
                               std::string eos_text, const std::vector<std::string>& control_texts)
    : impl_(std::make_unique<Impl>(
          Impl{ChatTemplate(source, std::move(bos_text), std::move(eos_text), named(control_texts),
                            "the chat_template of the request")})) {
  const std::string& defect = impl_->chat_template.defect();
  if (defect.empty()) return;
  throw EngineError(ErrorInfo{ErrorCode::kInvalidRequest, defect, "chat_template", {}});
}

PromptTemplate::~PromptTemplate() = default;

std::vector<std::pair<std::string, bool>> PromptTemplate::render(const ChatPrompt& prompt) const {
  std::vector<std::pair<std::string, bool>> segments;
  for (PromptPart& part : impl_->chat_template.render(prompt)) {
    segments.emplace_back(std::move(part.text), part.is_input);
  }
  return segments;
}

}  // namespace pyserve
