"""Earlier turns as clients send them become what any chat template takes. Pure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pyserve.openai.tools.formats import Refusals

Message = dict[str, Any]

_OPENING, _ACKNOWLEDGED = "Hello.", "OK."


def arranged(messages: Sequence[Message], refuses: Refusals) -> list[Message]:
    """The messages with whole arguments and ids, and without what a template refuses."""
    turns = [_with_objects(message) for message in _with_ids(messages)]
    if refuses.lone_results:
        turns = list(_with_told_results(turns))
    if refuses.text_beside_calls:
        turns = [part for message in turns for part in _apart(message)]
    if refuses.empty_answers:
        turns = [message for message in turns if not _is_empty(message)]
    if refuses.first_answers:
        turns = _opened(turns)
    if refuses.asked_results:
        turns = list(_acknowledged(turns))
    return turns


def is_result(message: Message) -> bool:
    return bool(message["role"] == "tool")


def result_text(message: Message, name: str) -> str:
    """A result as a text of the user. name: of its function, "": it is not known."""
    return f"Result of {message.get('name') or name or 'the function'}: {message['content']}"


def _with_ids(messages: Sequence[Message]) -> list[Message]:
    """The messages, each result with the id of its call, and no two calls of one with the same.

    Where ids are left out or not clear, results are those of the calls in their order.
    """
    named = list(messages)
    for i, message in enumerate(messages):
        calls = message.get("tool_calls") or ()
        results = list(itertools.takewhile(is_result, messages[i + 1 :])) if calls else []
        ids = [call.get("id") for call in calls]
        given = [result.get("tool_call_id") for result in results]
        if not calls or (None not in (*ids, *given) and len(set(ids)) == len(ids)):
            continue
        _pair(ids, given)
        pairs = zip(calls, ids, strict=True)
        named[i] = {**message, "tool_calls": [{**call, "id": one} for call, one in pairs]}
        for n, one in enumerate(given):
            if one is not None:
                named[i + 1 + n] = {**results[n], "tool_call_id": one}
    return named


def _pair(ids: list[str | None], given: list[str | None]) -> None:
    """Fills in the ids of calls and those of their results."""
    known = [one for one in ids if one is not None and ids.count(one) == 1]
    open_calls = [place for place, one in enumerate(ids) if one not in known or one not in given]
    clear = {one for one in given if one and given.count(one) == 1}
    for n, one in enumerate(given):
        if one in known:
            continue
        fits = (place for place in open_calls if one is None or ids[place] not in known)
        place = next(fits, None)
        if place is None:
            continue
        open_calls.remove(place)
        if ids[place] not in known:
            ids[place] = one if one in clear else f"call{place}"
        given[n] = ids[place]
    for place in open_calls:
        if ids[place] not in known:
            ids[place] = f"call{place}"


def _with_objects(message: Message) -> Message:
    """The message with arguments that are objects, each written in the same way."""
    if not message.get("tool_calls"):
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": _object(call["function"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _object(function: dict[str, Any]) -> str:
    """Arguments as an object; what is none becomes the member of one, so that it is shown."""
    written = function["arguments"]
    try:
        value = json.loads(written) if written.strip() else None
        if value is None or isinstance(value, dict):
            text = json.dumps(value or {}, ensure_ascii=False, allow_nan=False)
            text.encode()
            return text
    except (ValueError, RecursionError):  # cut off, no number, half a character, or too deep
        pass
    return json.dumps({"arguments": written})


def _with_told_results(messages: Sequence[Message]) -> Iterator[Message]:
    """Results that follow no call become texts of the user."""
    can_follow = False
    for message in messages:
        if is_result(message) and not can_follow:
            yield {"role": "user", "content": result_text(message, "")}
            continue
        can_follow = is_result(message) or bool(message.get("tool_calls"))
        yield message


def _apart(message: Message) -> list[Message]:
    """A message with text and calls as one of each."""
    if not (message.get("tool_calls") and message["content"]):
        return [message]
    said = {key: value for key, value in message.items() if key != "tool_calls"}
    called = {"role": message["role"], "content": "", "tool_calls": message["tool_calls"]}
    return [said, called]


def _is_empty(message: Message) -> bool:
    is_answer = message["role"] == "assistant"
    return is_answer and not (message["content"] or message.get("tool_calls"))


def _opened(messages: list[Message]) -> list[Message]:
    """A conversation that an answer begins has a greeting before it."""
    n_systems = sum(1 for _ in itertools.takewhile(lambda turn: turn["role"] == "system", messages))
    if n_systems == len(messages) or messages[n_systems]["role"] != "assistant":
        return messages
    opening = {"role": "user", "content": _OPENING}
    return [*messages[:n_systems], opening, *messages[n_systems:]]


def _acknowledged(messages: Sequence[Message]) -> Iterator[Message]:
    """A question that follows results right away has a short answer before it."""
    for before, message in itertools.pairwise([None, *messages]):
        assert message is not None
        if before is not None and is_result(before) and message["role"] == "user":
            yield {"role": "assistant", "content": _ACKNOWLEDGED}
        yield message
