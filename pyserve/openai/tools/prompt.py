"""Puts tools and tool calls into messages in the form that the chat template expects."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import Any

from pyserve.openai.tools.formats import AnswerFormat, CallFormat
from pyserve.openai.tools.history import arranged, is_result, result_text
from pyserve.openai.tools.probes import NAMED_ID

Message = dict[str, Any]

N_SHORT_ID = 9
THOUGHTS = "reasoning_content"
_INTRODUCTION = (
    "These functions are available. Each line describes one, with its parameters as JSON Schema.\n"
    "<tools>\n{tools}\n</tools>\n"
    "{when}, write its name and its arguments as JSON between tags:\n"
    '<tool_call>\n{{"name": "the name", "arguments": {{"parameter": "value"}}}}\n</tool_call>'
)
_TOOLS_ALONE = "You are a helpful assistant with some tools."
_MAY_CALL = "To call a function"
_MUST_CALL = "Answer with nothing but a call. To call a function"


def with_history(messages: Sequence[Message], layout: AnswerFormat) -> list[Message]:
    """The messages with their tool calls and thoughts in the form that the template expects."""
    calls = layout.calls
    messages = _in_order_of_calls(arranged(messages, layout.refuses))
    if layout.hides_text:
        messages = _with_shown_text(messages)
    if calls.is_generic:
        return _as_text(messages)
    if calls.is_unshown:
        messages = [_with_written_calls(message, calls) for message in messages]
    if calls.has_one_call:
        messages = _one_by_one([_with_one_text(message) for message in messages])
    if calls.has_short_ids:
        messages = [_with_short_ids(message) for message in messages]
    if calls.has_named_ids:
        messages = _with_named_ids(messages)
    if calls.has_named_results:
        messages = _with_named_results(messages)
    if layout.thoughts_key != THOUGHTS:
        messages = [_with_thoughts(message, layout.thoughts_key) for message in messages]
    return list(messages)


def introduced(
    messages: Sequence[Message], tools: Sequence[dict[str, Any]], *, must_call: bool
) -> list[Message]:
    """The messages with a description of `tools` at the end of the first system message."""
    lines = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    text = _INTRODUCTION.format(tools=lines, when=_MUST_CALL if must_call else _MAY_CALL)
    first, *rest = messages
    if first["role"] != "system":
        return [{"role": "system", "content": text}, *messages]
    return [{**first, "content": f"{first['content']}\n\n{text}"}, *rest]


def with_message_tools(
    messages: Sequence[Message], tools: Sequence[dict[str, Any]]
) -> list[Message]:
    """The messages with `tools` as JSON in a field of the first system message."""
    text = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
    first, *rest = messages
    if first["role"] != "system":
        first, rest = {"role": "system", "content": _TOOLS_ALONE}, list(messages)
    return [{**first, "tools": text}, *rest]


def _in_order_of_calls(messages: Sequence[Message]) -> list[Message]:
    """The messages, each call's result at its call's place among the results.

    Most templates show no ids: the model knows by the order alone which call a result is of.
    Results stay where one has no call, or where two are of one.
    """
    ordered = list(messages)
    for i, message in enumerate(messages):
        places = {call.get("id"): n for n, call in enumerate(message.get("tool_calls") or ())}
        results = list(itertools.takewhile(is_result, messages[i + 1 :])) if places else []
        ids = [result.get("tool_call_id") for result in results]
        if None not in ids and places.keys() >= set(ids) and len(set(ids)) == len(ids):
            results.sort(key=lambda result: places[result["tool_call_id"]])
            ordered[i + 1 : i + 1 + len(results)] = results
    return ordered


def _one_by_one(messages: Sequence[Message]) -> list[Message]:
    """Messages of several calls become several messages, each followed by its result."""
    results = {message.get("tool_call_id"): message for message in messages if is_result(message)}
    placed: set[int] = set()
    ordered: list[Message] = []
    for message in messages:
        calls = message.get("tool_calls", [])
        if len(calls) <= 1:
            if id(message) not in placed:
                ordered.append(message)
            continue
        for i, call in enumerate(calls):
            rest = message if i == 0 else {"role": message["role"], "content": ""}
            ordered.append({**rest, "tool_calls": [call]})
            result = results.get(call.get("id"))
            if result is not None:
                ordered.append(result)
                placed.add(id(result))
    return ordered


def _with_named_ids(messages: Sequence[Message]) -> list[Message]:
    """The messages with ids such as `functions.name:0`, which the model writes, too."""
    names: dict[str, str] = {}
    named: list[Message] = []
    places = itertools.count()  # in the whole conversation
    for message in messages:
        changed = dict(message)
        if "tool_calls" in message:
            calls = message["tool_calls"]
            ids = [f"{NAMED_ID}{call['function']['name']}:{next(places)}" for call in calls]
            names |= {call.get("id", ""): new for call, new in zip(calls, ids, strict=True)}
            changed["tool_calls"] = [
                {**call, "id": new} for call, new in zip(calls, ids, strict=True)
            ]
        if message.get("tool_call_id") in names:
            changed["tool_call_id"] = names[message["tool_call_id"]]
        named.append(changed)
    return named


def _with_named_results(messages: Sequence[Message]) -> list[Message]:
    """The messages with the name of the function in each result."""
    names = {
        call.get("id", ""): call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls", [])
    }
    return [
        {"name": names.get(message.get("tool_call_id", ""), ""), **message}
        if is_result(message)
        else message
        for message in messages
    ]


def _with_shown_text(messages: Sequence[Message]) -> list[Message]:
    """The messages without the thoughts of earlier answers that are no calls."""
    *earlier, last = messages
    return [
        message
        if message.get("tool_calls") or not message.get("content")
        else {key: value for key, value in message.items() if key != THOUGHTS}
        for message in earlier
    ] + [last]


def _with_written_calls(message: Message, layout: CallFormat) -> Message:
    """The message with its calls as the model writes them, at the end of its text."""
    calls = [call["function"] for call in message.get("tool_calls", [])]
    if not calls:
        return message
    write = _as_python if layout.kind == "pythonic" else _as_object
    between = layout.between or f"{layout.after}\n{layout.trigger}{layout.before}"
    run = between.join(write(call) for call in calls)
    text = f"{message['content']}{layout.trigger}{layout.before}{run}{layout.after}"
    return {**{key: message[key] for key in message if key != "tool_calls"}, "content": text}


def _as_object(function: dict[str, Any]) -> str:
    name = json.dumps(function["name"], ensure_ascii=False)
    return f'{{"name": {name}, "arguments": {function["arguments"]}}}'


def _as_python(function: dict[str, Any]) -> str:
    try:
        arguments = json.loads(function["arguments"])
        members = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    except (ValueError, AttributeError, RecursionError):  # no JSON, no object, too deep
        members = ""
    return f"{function['name']}({members})"


def _with_one_text(message: Message) -> Message:
    """A message with a call, whose text is a thought where there is another: it has one of them."""
    if not ("tool_calls" in message and message.get(THOUGHTS) and message["content"]):
        return message
    return {**message, THOUGHTS: f"{message[THOUGHTS]}\n\n{message['content']}", "content": ""}


def _with_thoughts(message: Message, key: str) -> Message:
    """The message with its thoughts under this key."""
    if THOUGHTS not in message:
        return message
    renamed = {name: value for name, value in message.items() if name != THOUGHTS}
    return {**renamed, key: message[THOUGHTS]}


def _as_text(messages: Sequence[Message]) -> list[Message]:
    """Writes tool calls as text of the assistant, and results as text of the user."""
    names: dict[str, str] = {}
    plain: list[Message] = []
    follows_result = False
    for message in messages:
        if message["role"] == "tool":
            text = result_text(message, names.get(message.get("tool_call_id", ""), ""))
            if follows_result:
                plain[-1] = {**plain[-1], "content": f"{plain[-1]['content']}\n{text}"}
            else:
                plain.append({"role": "user", "content": text})
            follows_result = True
            continue
        follows_result = False
        calls = message.get("tool_calls", [])
        names |= {call.get("id", ""): call["function"]["name"] for call in calls}
        lines = [message["content"], *(_call_text(call["function"]) for call in calls)]
        kept = {key: value for key, value in message.items() if key != "tool_calls"}
        plain.append({**kept, "content": "\n".join(filter(None, lines))})
    return plain


def _call_text(function: dict[str, Any]) -> str:
    return f"<tool_call>\n{_as_object(function)}\n</tool_call>"


def _with_short_ids(message: Message) -> Message:
    short = dict(message)
    if "tool_call_id" in message:
        short["tool_call_id"] = _short_id(message["tool_call_id"])
    if "tool_calls" in message:
        short["tool_calls"] = [
            {**call, "id": _short_id(call.get("id", ""))} for call in message["tool_calls"]
        ]
    return short


def _short_id(call_id: str) -> str:
    if len(call_id) == N_SHORT_ID and call_id.isascii() and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:N_SHORT_ID]
