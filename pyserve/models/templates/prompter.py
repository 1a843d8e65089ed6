"""Renders prompts with the templates of a model's configuration.

Pure. What users wrote stays marked in the prompt, whatever the templates do with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pyserve.models.profile import PromptProfile, TemplateSource
from pyserve.models.templates.go.evaluator import render
from pyserve.models.templates.go.marked import Marked, all_marked, joined, runs_of, user_text
from pyserve.models.templates.go.nodes import Template
from pyserve.models.templates.go.parser import parse
from pyserve.models.templates.go.values import to_json

Message = Mapping[str, Any]


class Prompter:
    """The templates of one profile. Immutable: any thread.

    All methods raise TemplateError when a template refuses what it is given.
    """

    def __init__(self, profile: PromptProfile) -> None:
        self._profile = profile
        self._chat = _parsed(profile.chat)
        self._chat_message = _parsed(profile.chat_message)
        self._completion = _parsed(profile.completion)
        self._edit = _parsed(profile.edit)
        self._function = _parsed(profile.function)

    @property
    def has_chat(self) -> bool:
        return self._profile.has_chat

    @property
    def has_completion(self) -> bool:
        return self._completion is not None

    @property
    def has_edit(self) -> bool:
        return self._edit is not None

    def chat(self, messages: Sequence[Message], tools: Sequence[Message] = ()) -> Marked:
        """The prompt of a conversation. tools: as in OpenAI's `tools`. REQUIRES: has_chat."""
        system = "" if _has_system(messages) else self._profile.system_prompt
        marked = [_marked_message(message) for message in messages]
        functions = [all_marked(tool.get("function", tool)) for tool in tools]
        parts = []
        for i, message in enumerate(marked):
            part = self._message(message, i, i == len(marked) - 1, system, functions)
            if part.strip():
                parts.append(part)
        text = _join(parts, self._profile.join)
        template = (self._function if functions else None) or self._chat
        if template is None:
            return text
        data = _data(text, system, _has_system(messages), functions)
        given = [message["content"] for message in marked if message["role"] == "system"]
        if given:
            data["System"] = _join(given, "\n")
        return render(template, {**data, "Messages": [_member(message) for message in marked]})

    def completion(self, prompt: str) -> Marked:
        """The prompt of a text to continue. REQUIRES: has_completion."""
        assert self._completion is not None, "there is a template"
        return render(self._completion, _data(user_text(prompt), self._profile.system_prompt))

    def edit(self, instruction: str, text: str) -> Marked:
        """The prompt of a text to edit. REQUIRES: has_edit."""
        assert self._edit is not None, "there is a template"
        data = _data(user_text(text), self._profile.system_prompt)
        return render(self._edit, {**data, "Instruction": user_text(instruction)})

    def _message(
        self,
        message: Message,
        index: int,
        is_last: bool,
        system: str,
        functions: Sequence[Any],
    ) -> Marked:
        """One turn: by its template, else its role's word and its content."""
        role, calls = message["role"], message.get("tool_calls")
        word = self._role_word(role, bool(calls))
        if self._chat_message is not None:
            data = {
                "SystemPrompt": system,
                "Role": word or role,
                "RoleName": role,
                "FunctionName": message.get("name", ""),
                "Content": message["content"],
                "MessageIndex": index,
                "Function": bool(functions) and is_last,
                "FunctionCall": calls,
                "LastMessage": is_last,
            }
            return render(self._chat_message, data)
        runs = [*runs_of(message["content"])]
        if calls:
            runs += user_text(to_json(calls)).runs
        space = " " if word and not word[-1].isspace() else ""
        return joined([(word + space, False), *runs])

    def _role_word(self, role: str, has_calls: bool) -> str:
        roles = self._profile.roles
        if has_calls and "assistant_function_call" in roles:
            return roles["assistant_function_call"]
        return roles.get(role, "")


def _data(
    text: Marked, system: str, is_system_given: bool = False, functions: Sequence[Any] = ()
) -> dict[str, Any]:
    """The data of all templates but those of single messages."""
    return {
        "Input": text,
        "Instruction": "",
        "Prompt": text,
        "SystemPrompt": system,
        "System": system,
        "SuppressSystemPrompt": is_system_given,
        "Functions": list(functions),
        "MessageIndex": 0,
    }


def _member(message: Message) -> dict[str, Any]:
    """A message in the form that templates of whole chats get."""
    return {
        "Role": message["role"],
        "RoleName": message["role"],
        "Content": message["content"],
        "FunctionName": message.get("name", ""),
        "FunctionCall": message.get("tool_calls"),
    }


def _has_system(messages: Sequence[Message]) -> bool:
    return any(message["role"] == "system" for message in messages)


def _marked_message(message: Message) -> dict[str, Any]:
    """The message with its sender's text marked; the role is one of a fixed list."""
    rest = {key: all_marked(value) for key, value in message.items() if key != "role"}
    return {"role": message["role"], "content": user_text(""), **rest}


def _join(parts: Sequence[Marked], separator: str) -> Marked:
    runs: list[tuple[str, bool]] = []
    for i, part in enumerate(parts):
        runs += [(separator, False)] if i else []
        runs += part.runs
    return joined(runs)


def _parsed(source: TemplateSource | None) -> Template | None:
    return None if source is None else _parse(source.name, source.text)


@lru_cache(maxsize=256)
def _parse(name: str, text: str) -> Template:
    return parse(name, text)
