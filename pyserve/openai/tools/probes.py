"""Conversations by whose renderings a chat template shows its format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pyserve.errors import InvalidRequestError
from pyserve.openai.tools.formats import Refusals, control_marks

Message = dict[str, Any]
# A prompt of messages, tools and variables. Raises InvalidRequestError for what it does not take.
Render = Callable[[list[Message], list[dict[str, Any]], dict[str, Any]], str]

QUESTION, AGAIN, SAID, THOUGHT, RESULT = (
    "Probequestion",
    "Probeagain",
    "Probesaid",
    "Probethought",
    "7007",
)
NAMES = ("probe_first", "probe_other")
KEYS = ("alphakey", "betakey")
TEXT, NUMBER = "probevalue", 4711
ARGUMENTS: tuple[dict[str, Any], ...] = ({KEYS[0]: TEXT, KEYS[1]: NUMBER}, {KEYS[0]: "othervalue"})
IDS = ("probeid01", "probeid02")
NAMED_ID = "functions."
NAMED_IDS = tuple(f"{NAMED_ID}{name}:{i}" for i, name in enumerate(NAMES))
OTHER_IDS = ("call_0123456789abcdef", "c1")  # as long and as short as clients make them
TYPED: dict[str, Any] = {
    "string": TEXT,
    "number": 0.5,
    "integer": NUMBER,
    "boolean": True,
    "null": None,
    "object": {"inner": 1},
    "array": [1],
}
USER = {"role": "user", "content": QUESTION}
USER_AGAIN = {"role": "user", "content": AGAIN}
THINKING = {"enable_thinking": True, "thinking": True}
NOT_THINKING = {"enable_thinking": False, "thinking": False}


class Prober:
    """Renders conversations; what a template refuses is None. One thread.

    ids: of calls, where no others are given.
    """

    def __init__(self, render: Render, ids: Sequence[str] = IDS) -> None:
        self._render = render
        self._ids = ids

    def with_named_ids(self) -> Prober:
        """The same with ids that name functions: some templates write nothing else of them."""
        return Prober(self._render, NAMED_IDS)

    def prompt(self, variables: dict[str, Any], *, has_tools: bool = True) -> str | None:
        """What stands after the question, where an answer begins."""
        return self._after_question([USER], variables, has_tools)

    def question(self, variables: dict[str, Any]) -> str:
        """The whole prompt of a question; "" = it is refused."""
        try:
            return self._render([USER], [], variables)
        except InvalidRequestError:
            return ""

    def said(self, variables: dict[str, Any], *, thoughts: bool = False) -> str | None:
        """The same of an earlier answer that is text, up to the next question."""
        answer = assistant(SAID, THOUGHT if thoughts else "")
        return self._after_question([USER, answer, USER_AGAIN], variables, has_tools=False)

    def called(
        self,
        n_calls: int,
        variables: dict[str, Any],
        *,
        text: str = "",
        thoughts: str = "",
        arguments: dict[str, Any] | None = None,
        ids: Sequence[str] = (),
        has_names: bool = True,
    ) -> str | None:
        """The same of an answer with calls, and their results. arguments: of the first call.

        has_names: the results have the names of their functions.
        """
        ids = ids or self._ids
        calls = [
            tool_call(name, given, call_id)
            for name, given, call_id in zip(NAMES, ARGUMENTS, ids, strict=True)
        ][:n_calls]
        if arguments is not None:
            calls[0] = tool_call(NAMES[0], arguments, ids[0])
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": RESULT}
            | ({"name": name} if has_names else {})
            for call, name in zip(calls, NAMES, strict=False)
        ]
        return self._after_question([USER, assistant(text, thoughts, calls), *results], variables)

    def wants_names(self, variables: dict[str, Any]) -> bool:
        """Whether results without the names of their functions are refused, or lack just these."""
        named = self.called(1, variables)
        bare = self.called(1, variables, has_names=False)
        if named is None or bare is None:
            return named is not None
        return len(named) - len(bare) == len(NAMES[0])

    def hides_text(self, thoughts_key: str) -> bool:
        """Whether an earlier answer loses its text where it has thoughts."""
        answer = {**assistant(SAID), thoughts_key: THOUGHT}
        thoughtful = self._after_question([USER, answer, USER_AGAIN], {}, has_tools=False)
        return SAID in (self.said({}) or "") and SAID not in (thoughtful or "")

    def turn_end(self) -> str:
        """The mark after an answer that is text; "": there is none."""
        after = (self.said({}) or "").partition(SAID)[2].partition(AGAIN)[0].lstrip()
        marks = control_marks(after)
        return marks[0] if marks and after.startswith(marks[0]) else ""

    def refusals(self) -> Refusals:
        """What is refused of earlier turns, or left out. Probed where calls are taken."""
        call = assistant("", "", [tool_call(NAMES[0], ARGUMENTS[0], self._ids[0])])
        alone = {"role": "tool", "tool_call_id": self._ids[0], "content": RESULT}
        result = {**alone, "name": NAMES[0]}
        said = assistant(SAID)

        def shows(*turns: Message, texts: Sequence[str] = ()) -> bool:
            prompt = self._after_question([USER, *turns], {})
            return prompt is not None and all(text in prompt for text in texts)

        takes_calls = shows(call, result, texts=(TEXT, RESULT))
        beside = {**call, "content": SAID}
        asks = takes_calls and not shows(call, result, USER_AGAIN, texts=[RESULT])
        return Refusals(
            first_answers=self._prompt([assistant(TEXT), USER], {}) is None,
            lone_results=asks or not shows(alone, said, texts=[RESULT]),
            asked_results=asks,
            empty_answers=shows(said, USER_AGAIN) and not shows(assistant(""), USER_AGAIN),
            text_beside_calls=takes_calls
            and not shows(beside, result, texts=[TEXT])
            and shows(said, call, result, texts=(SAID, TEXT)),
        )

    def takes_calls(self) -> bool:
        """Whether conversations with tools and calls are rendered, with the results in them."""
        return any(RESULT in (self.called(1, variables) or "") for variables in ({}, THINKING))

    def called_and_asked(self, variables: dict[str, Any]) -> str | None:
        """The same of an answer with a call, whose result is another question."""
        answer = assistant("", "", [tool_call(NAMES[0], ARGUMENTS[0], self._ids[0])])
        return self._after_question([USER, answer, USER_AGAIN], variables)

    def _after_question(
        self, messages: list[Message], variables: dict[str, Any], has_tools: bool = True
    ) -> str | None:
        prompt = self._prompt(messages, variables, has_tools) or ""
        _, found, after = prompt.rpartition(QUESTION)
        return after if found else None

    def _prompt(
        self, messages: list[Message], variables: dict[str, Any], has_tools: bool = True
    ) -> str | None:
        tools = [_tool(name) for name in NAMES] if has_tools else []
        try:
            return self._render(messages, tools, variables)
        except InvalidRequestError:
            return None


def assistant(text: str, thoughts: str = "", calls: Sequence[Message] = ()) -> Message:
    """An earlier answer."""
    message: Message = {"role": "assistant", "content": text}
    if thoughts:
        message["reasoning_content"] = thoughts
    if calls:
        message["tool_calls"] = list(calls)
    return message


def tool_call(name: str, arguments: dict[str, Any], call_id: str) -> Message:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": call_id, "type": "function", "function": function}


def _tool(name: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": key} for key in (*KEYS, *TYPED)}
    parameters = {"type": "object", "properties": properties, "required": [KEYS[0]]}
    function = {"name": name, "description": "A probe.", "parameters": parameters}
    return {"type": "function", "function": function}
