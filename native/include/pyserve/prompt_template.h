// A chat template of a client, which is rendered without a model.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pyserve/request.h"

namespace pyserve {

// Jinja source that nobody vouches for: it may use up the stack or the memory of its process, which
// should hold nothing else. Immutable after construction: any thread.
class PromptTemplate {
 public:
  // control_texts: those of the model, see Engine. Throws EngineError(kInvalidRequest) for a source
  // that cannot be compiled.
  PromptTemplate(const std::string& source, std::string bos_text, std::string eos_text,
                 const std::vector<std::string>& control_texts);
  ~PromptTemplate();

  // The prompt, as a SegmentPrompt has it. Throws EngineError(kInvalidRequest).
  std::vector<std::pair<std::string, bool>> render(const ChatPrompt& prompt) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyserve
