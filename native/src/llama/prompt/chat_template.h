// Chat messages become prompt text, and it stays known which of it users wrote.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pyserve/request.h"
#include "text/special_split.h"

namespace pyserve {

// The GGUF's Jinja template run by the vendored engine, or, without one, a plain transcript that a
// base model can continue:
//
//   System text.
//
//   User: Hello
//   Assistant:
//
// Immutable after construction: any thread.
class ChatTemplate {
 public:
  // `source` "" selects the transcript. `specials` are the model's control tokens. `owner` is what
  // errors call it.
  // One that is malformed, or does harm, is not used: prompts without it can still be answered.
  ChatTemplate(const std::string& source, std::string bos_text, std::string eos_text,
               std::vector<SpecialToken> specials, std::string owner = "the model's chat template");
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;

  // What comes out of message fields other than `role`, out of tools and variables, is marked as
  // input or split where it spells a control token. Ends with the start of the assistant's turn.
  // A transcript shows no tools. A conversation that the template refuses is arranged for it, see
  // arrangement.h.
  // Throws EngineError(kInvalidRequest), with what the template raises, when it refuses the
  // messages in every arrangement, or cannot be used.
  std::vector<PromptPart> render(const ChatPrompt& prompt) const;

  // Why the template cannot be used; "" if it can.
  const std::string& defect() const { return defect_; }

  // Stop strings without which the model would go on with the user's part.
  std::vector<std::string> stop_strings() const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;  // null: transcript
  std::string owner_;
  std::string defect_;
};

}  // namespace pyserve
