// Messages of any kind through templates of the usual kinds: rendered or refused, and a control
// token in a message is never outside of input.
#include "llama/prompt/chat_template.h"

#include "fuzz_input.h"
#include "pyserve/error.h"

using namespace pyserve;

namespace {

constexpr const char* kTemplates[] = {
    "",
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>\\n' }}{% endfor %}{{ '<|im_start|>assistant\\n' }}",
    "{% for m in messages %}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% elif m.content is "
    "string %}{{ m.content | trim }}{% else %}{% for part in m.content %}{{ part.text }}"
    "{% endfor %}{% endif %}<|im_end|>{% endfor %}{% if tools %}{{ tools | tojson(indent=2) }}"
    "{% endif %}",
};

}  // namespace

PYSERVE_FUZZ_TARGET(chat_template) {
  static const ChatTemplate templates[] = {
      ChatTemplate(kTemplates[0], "<s>", "<|im_end|>", {{"<|im_end|>", 2}}),
      ChatTemplate(kTemplates[1], "<s>", "<|im_end|>", {{"<|im_end|>", 2}}),
      ChatTemplate(kTemplates[2], "<s>", "<|im_end|>", {{"<|im_end|>", 2}}),
  };
  FuzzInput input(data, std::min<size_t>(n_bytes, 4096));
  const ChatTemplate& chat_template = templates[input.below(std::size(templates))];
  const ChatPrompt prompt{input.line(), input.line(), input.line(), ""};
  try {
    for (const PromptPart& part : chat_template.render(prompt)) {
      require(part.text.size() < (size_t{1} << 24), "the text is not much more than the messages");
    }
  } catch (const EngineError& error) {
    require(error.info().code == ErrorCode::kInvalidRequest,
            "it is refused as the client's mistake");
  }
  return 0;
}
