"""What a model's configuration says about requests: plain data that crosses processes."""

from __future__ import annotations

from typing import Any

import msgspec


class TemplateSource(msgspec.Struct, frozen=True):
    """A prompt template in Go's syntax. name: its file, or the key that holds it; for errors."""

    name: str
    text: str


class PromptProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How prompts are made. chat None: with the template of the model file.

    chat makes the prompt of the messages, each of them made by chat_message, where there is one,
    and joined with `join`. roles: words that stand for OpenAI's roles.
    system_prompt: for chats that have no system message; a message before them, unless the
      templates show it.
    """

    chat: TemplateSource | None = None
    chat_message: TemplateSource | None = None
    completion: TemplateSource | None = None
    edit: TemplateSource | None = None
    join: str = "\n"
    roles: dict[str, str] = {}
    system_prompt: str = ""

    @property
    def has_chat(self) -> bool:
        """Whether chats are not for the template of the model file."""
        return self.chat is not None or self.chat_message is not None

    @property
    def shows_system(self) -> bool:
        """Whether a template of chats has a place for the system prompt."""
        sources = (self.chat, self.chat_message)
        return any(source is not None and "SystemPrompt" in source.text for source in sources)


class ShapeProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is done to answers, in this order: regular expressions are RE2's."""

    cutstrings: tuple[str, ...] = ()
    extract_regex: tuple[str, ...] = ()
    trimspace: tuple[str, ...] = ()
    trimsuffix: tuple[str, ...] = ()


class ModelProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything about a model that is not the engine's.

    defaults: values of request fields that a request does not set, by their names. stop: strings
    that end every answer, beside the request's. aliases: further names, maybe with * and ?.
    usecases: what the model is for (chat, completion, edit, embeddings), None: anything.
    """

    defaults: dict[str, Any] = {}
    stop: tuple[str, ...] = ()
    prompt: PromptProfile = PromptProfile()
    shape: ShapeProfile = ShapeProfile()
    aliases: tuple[str, ...] = ()
    description: str = ""
    usage: str = ""
    usecases: tuple[str, ...] | None = None


PLAIN = ModelProfile()
