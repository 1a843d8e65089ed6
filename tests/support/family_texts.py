"""What models write whose templates do not show it: thoughts, text and calls as one answer.

The forms are those of the models' own documentation, and of the vendored tests of llama.cpp.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

Call = tuple[str, dict[str, Any]]
# thoughts, text, calls -> answer
Write = Callable[[str, str, Sequence[Call]], str]


def harmony(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    messages = []
    if thoughts:
        messages.append(f"<|channel|>analysis<|message|>{thoughts}<|end|>")
    if text:
        channel = "commentary" if calls else "final"
        messages.append(f"<|channel|>{channel}<|message|>{text}" + ("<|end|>" if calls else ""))
    for i, (name, arguments) in enumerate(calls):
        head = f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
        if i % 2:
            head = f" to=functions.{name}<|channel|>commentary json<|message|>"
        messages.append(head + _json(arguments) + ("<|call|>" if i + 1 < len(calls) else ""))
    return "<|start|>assistant".join(messages)


def functionary(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    messages = [f"all\n{text}"] if text else []
    messages += [f"{name}\n{_json(arguments)}" for name, arguments in calls]
    return ">>>".join(messages)


def muse(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    messages = [f" to=self<|message|>{thoughts}"] if thoughts else []
    messages += [f" to=user<|message|>{text}"] if text else []
    for name, arguments in calls:
        members = "".join(
            f'<atem:parameter name="{key}">{_raw(value)}</atem:parameter>\n'
            for key, value in arguments.items()
        )
        messages.append(
            f' to={name}<|message|><atem:function_calls>\n<atem:invoke name="{name}">\n'
            f"{members}</atem:invoke>\n</atem:function_calls>"
        )
    return "<|eom|><|start|>assistant".join(messages)


def solar(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    messages = [f"<|think|>{thoughts}<|end|>"] if thoughts else []
    messages += [f"<|content|>{text}<|end|>"] if text else []
    written = "".join(
        f"<|tool_call:begin|>id{i}<|tool_call:name|>{name}<|tool_call:args|>{_json(arguments)}"
        "<|tool_call:end|>"
        for i, (name, arguments) in enumerate(calls)
    )
    messages += [f"<|tool_calls|>{written}"] if calls else []
    return "<|begin|>assistant".join(messages)


def kimi_k3(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    answer = f"{thoughts}<|close|>think<|sep|>"
    answer += f"<|open|>response<|sep|>{text}<|close|>response<|sep|>"
    if calls:
        answer += "<|open|>tools<|sep|>"
        for i, (name, arguments) in enumerate(calls, 1):
            answer += f'<|open|>call tool="{name}" index="{i}"<|sep|>'
            for key, value in arguments.items():
                answer += f'<|open|>argument key="{key}" type="{_type(value)}"<|sep|>'
                answer += f"{_raw(value)}<|close|>argument<|sep|>"
            answer += "<|close|>call<|sep|>"
        answer += "<|close|>tools<|sep|>"
    return f"{answer}<|close|>message<|sep|>"


def apriel(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    written = [{"name": name, "arguments": arguments} for name, arguments in calls]
    answer = f"{thoughts}\n[BEGIN FINAL RESPONSE]\n{text}"
    return answer + (f"\n<tool_calls>{_json(written)}</tool_calls>" if calls else "")


def lfm2(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    written = [
        f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
        for name, arguments in calls
    ]
    run = f"<|tool_call_start|>[{', '.join(written)}]<|tool_call_end|>" if calls else ""
    return f"{_thought(thoughts)}{text}{run}"


def granite(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    written = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return f"{_thought(thoughts)}{text}" + (f"<|tool_call|>{_json(written)}" if calls else "")


def tagged(thoughts: str, text: str, calls: Sequence[Call]) -> str:
    written = [
        f"<tool_call>\n{_json({'name': name, 'arguments': arguments})}\n</tool_call>"
        for name, arguments in calls
    ]
    return _thought(thoughts) + "\n".join([*([text] if text else []), *written])


def _thought(thoughts: str) -> str:
    return f"<think>\n{thoughts}\n</think>\n\n" if thoughts else ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _raw(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _type(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object"}
    return names.get(type(value), "array" if isinstance(value, list) else "null")
