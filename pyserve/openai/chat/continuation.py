"""`continue_final_message`: prompts that end inside the assistant's last message."""

from __future__ import annotations

from typing import Any

from pyserve.engine.protocol import Engine, ModelInfo, TemplateOptions

Message = dict[str, Any]

# As the engine ends the answers of models without a chat template, whose prompt is a transcript.
TRANSCRIPT_STOPS = ["\nUser:", "\nSystem:", "\nTool:"]


def continued_tokens(
    engine: Engine,
    messages: list[Message],
    options: TemplateOptions | None = None,
    text_begin: str = "",
) -> list[int]:
    """The prompt up to the end of the last message's text, which is read as plain text.

    text_begin: marks that stand before the text.
    REQUIRES: at least two messages, the last one the assistant's.
    """
    text = answer_text(str(messages[-1]["content"]), engine.info())
    plain = engine.tokenize(text, add_special=False, parse_special=False)
    return [*prompt_head(engine, messages[:-1], options, text_begin), *plain]


def prompt_head(
    engine: Engine,
    messages: list[Message],
    options: TemplateOptions | None = None,
    text_begin: str = "",
) -> list[int]:
    """The prompt that `messages` become, up to where the text of the answer begins."""
    prompt = engine.tokenize_chat(messages, options)
    if not text_begin:
        return prompt
    marks = engine.tokenize(text_begin, add_special=False, parse_special=True)
    return [*prompt, *marks]


def continued_text(
    engine: Engine,
    messages: list[Message],
    options: TemplateOptions | None = None,
    text_begin: str = "",
) -> str:
    """The same prompt as text."""
    prompt = engine.render(messages[:-1], options)
    return prompt + text_begin + answer_text(str(messages[-1]["content"]), engine.info())


def continued_stops(info: ModelInfo) -> list[str]:
    """Stop strings for a prompt of tokens, in place of those that the engine adds to messages."""
    return [] if info.has_chat_template else TRANSCRIPT_STOPS


def answer_text(text: str, info: ModelInfo) -> str:
    """The text of an answer as it stands in the prompt."""
    return text if info.has_chat_template else f" {text}"
