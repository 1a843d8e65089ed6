"""`ModelProfile`: a model's request defaults, templates and formats, as data between processes."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pyserve.engine.config import Adapter

_SYSTEM = re.compile(r"\.System(Prompt)?\b")


class TemplateSource(msgspec.Struct, frozen=True):
    """A prompt template, in Go's syntax or Jinja. name: its file or key, for errors."""

    name: str
    text: str


class PromptProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prompt templates. chat None: the template of the model file is used.

    chat makes the prompt of the messages, each of them made by chat_message, where there is one,
    and joined with `join`. function: in place of chat where functions are offered.
    roles: words that stand for OpenAI's roles.
    system_prompt: for chats that have no system message; a message before them, unless the
      templates show it.
    """

    chat: TemplateSource | None = None
    chat_message: TemplateSource | None = None
    completion: TemplateSource | None = None
    edit: TemplateSource | None = None
    function: TemplateSource | None = None
    join: str = "\n"
    roles: dict[str, str] = {}
    system_prompt: str = ""

    @property
    def has_chat(self) -> bool:
        """Whether chats are rendered by these templates instead of the model file's."""
        return self.chat is not None or self.chat_message is not None

    @property
    def shows_system(self) -> bool:
        """Whether a chat template prints the system prompt."""
        sources = (self.chat, self.chat_message)
        return any(source is not None and _SYSTEM.search(source.text) for source in sources)

    @property
    def function_text(self) -> str:
        """The chat templates that show functions; "" if none does."""
        sources = (self.function or self.chat, self.chat_message)
        text = "\n".join(source.text for source in sources if source is not None)
        shows = self.has_chat and (self.function is not None or ".Functions" in text)
        return text if shows else ""


class CallProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The format of tool calls, as far as the configuration says it.

    is_free: no grammar constrains calls. must_call: answers are nothing but calls. can_repeat:
    several calls are allowed; None: as the request says.
    name_key, arguments_key: keys of calls that are JSON; "" is the usual one. has_arguments_first:
    the order of these keys. prefix: the beginning of such calls, for templates without tags.
    Regular expressions: json_regex has calls in its first group; call_regex has groups with those
    two names; argument_regex parses the arguments by the names of its groups.
    replace_text: replacements in the answer; replace_results: then in the text that calls are
    looked for in. capture_text: finds the text of an answer with calls.
    """

    is_free: bool = False
    must_call: bool = False
    can_repeat: bool | None = None
    name_key: str = ""
    arguments_key: str = ""
    has_arguments_first: bool = False
    prefix: str = ""
    json_regex: tuple[str, ...] = ()
    call_regex: tuple[str, ...] = ()
    argument_regex: tuple[str, ...] = ()
    argument_groups: tuple[str, str] = ("key", "value")
    replace_results: tuple[tuple[str, str], ...] = ()
    replace_text: tuple[tuple[str, str], ...] = ()
    capture_text: tuple[str, ...] = ()

    @property
    def has_expressions(self) -> bool:
        """Whether calls are found by regular expressions."""
        return bool(self.json_regex or self.call_regex or self.replace_results)

    @property
    def patterns(self) -> tuple[str, ...]:
        """All regular expressions."""
        replaced = [pattern for pattern, _ in (*self.replace_results, *self.replace_text)]
        found = (*self.json_regex, *self.call_regex, *self.argument_regex, *self.capture_text)
        return (*found, *replaced)


class ThinkingProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The format of reasoning; empty: as in the chat template.

    tags: pairs of texts around it. starts: texts at the end of a prompt after which the model
    reasons, beside the first ones of the pairs. is_never_open: prompts never end in reasoning.
    """

    tags: tuple[tuple[str, str], ...] = ()
    starts: tuple[str, ...] = ()
    is_never_open: bool = False


class ShapeProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Edits of answers, in this order. Regular expressions are RE2's.

    prefix: put before the answers.
    """

    prefix: str = ""
    cutstrings: tuple[str, ...] = ()
    extract_regex: tuple[str, ...] = ()
    trimspace: tuple[str, ...] = ()
    trimsuffix: tuple[str, ...] = ()


class ModelProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything in a model's configuration that does not concern the engine.

    defaults: values of request fields that a request does not set, by their names. stop: strings
    that end every answer, beside the request's. aliases: further names, maybe with * and ?.
    adapters: LoRA adapters that are loaded with the model. lora: scales of those that requests get
    which name none, None: the engine's defaults.
    usecases: what the model is for (chat, completion, edit, embeddings), None: anything.
    has_verbosity_hints: a verbosity that the template does not know becomes a sentence.
    """

    defaults: dict[str, Any] = {}
    stop: tuple[str, ...] = ()
    prompt: PromptProfile = PromptProfile()
    calls: CallProfile = CallProfile()
    thinking: ThinkingProfile = ThinkingProfile()
    shape: ShapeProfile = ShapeProfile()
    aliases: tuple[str, ...] = ()
    description: str = ""
    usage: str = ""
    usecases: tuple[str, ...] | None = None
    adapters: tuple[Adapter, ...] = ()
    lora: dict[str, float] | None = None
    has_verbosity_hints: bool = False


PLAIN = ModelProfile()
