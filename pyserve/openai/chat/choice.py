"""One choice of a chat completion: its deltas when streamed, else its message."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pyserve.engine.protocol import Delta, FinishReason
from pyserve.openai.chat.objects import (
    CalledCustom,
    CalledFunction,
    ChatDelta,
    ChatFinishReason,
    ChatMessage,
    CustomDelta,
    FunctionDelta,
    MessageCustomCall,
    MessageToolCall,
    ToolCallDelta,
)
from pyserve.openai.tools.parsed_answer import Call, ReadChoice
from pyserve.openai.tools.parts import (
    AnswerStyle,
    CallArguments,
    CallBegin,
    Piece,
    Text,
    Thought,
)
from pyserve.openai.tools.string_argument import StringArgument


class ChoiceWriter:
    """Turns the deltas of the engine into those of a choice. One thread.

    is_legacy: calls are shown as `function_call`. shows_reasoning: else they are only counted.
    custom_names: the tools that are called with a text.
    """

    def __init__(
        self,
        style: AnswerStyle,
        *,
        is_legacy: bool,
        shows_reasoning: bool,
        custom_names: frozenset[str] = frozenset(),
    ) -> None:
        self._read = ReadChoice(style)
        self._custom_names = custom_names
        self._inputs: dict[int, StringArgument] = {}  # of calls of custom tools, by their index
        self._is_legacy = is_legacy
        self._shows_reasoning = shows_reasoning

    @property
    def n_reasoning_tokens(self) -> int:
        return self._read.n_reasoning_tokens

    @property
    def text(self) -> str:
        """The text of the answer so far, without reasoning and calls."""
        return self._read.text

    @property
    def calls(self) -> list[tuple[str, str]]:
        """The name and the arguments of each call so far."""
        return [(call.name, call.arguments) for call in self._read.calls]

    def push(self, delta: Delta) -> list[ChatDelta]:
        """The choice's deltas for one delta of the engine."""
        written = []
        n_calls = len(self._read.calls)  # before those of `delta`
        for piece in self._read.push(delta):
            n_calls += isinstance(piece, CallBegin)
            if self._shows_reasoning or not isinstance(piece, Thought):
                written += self._deltas(piece, n_calls - 1)
        if delta.finish is not None:
            rests = [(index, reader.close()) for index, reader in self._inputs.items()]
            written += [_input_delta(index, CustomDelta(rest)) for index, rest in rests if rest]
        return written

    def message(self) -> ChatMessage:
        """The whole message. REQUIRES: the last delta was pushed."""
        read = self._read
        reasoning = read.reasoning if read.reasoning and self._shows_reasoning else UNSET
        calls = [self._call(call) for call in read.calls]
        is_legacy = self._is_legacy
        first = read.calls[0] if read.calls else None
        return ChatMessage(
            content=None if calls and not read.text else read.text,
            reasoning_content=reasoning,
            reasoning=reasoning,
            tool_calls=calls if calls and not is_legacy else UNSET,
            function_call=CalledFunction(first.name, first.arguments)
            if first is not None and is_legacy
            else UNSET,
        )

    def _call(self, call: Call) -> MessageToolCall | MessageCustomCall:
        if call.name not in self._custom_names:
            return MessageToolCall(call.id, CalledFunction(call.name, call.arguments))
        reader = StringArgument()
        text = reader.feed(call.arguments) + reader.close()
        return MessageCustomCall(call.id, CalledCustom(call.name, text))

    def finish_reason(self, reason: FinishReason) -> ChatFinishReason:
        if reason != "stop" or not self._read.calls:
            return reason
        return "function_call" if self._is_legacy else "tool_calls"

    def _deltas(self, piece: Piece, index: int) -> list[ChatDelta]:
        match piece:
            case Text(text):
                return [ChatDelta(content=text)]
            case Thought(text):
                return [ChatDelta(reasoning_content=text, reasoning=text)]
            case CallBegin(name):
                return [self._call_begin(name, index)]
            case CallArguments(text):
                return self._arguments(text, index)

    def _call_begin(self, name: str, index: int) -> ChatDelta:
        call_id = self._read.calls[index].id
        if name in self._custom_names:
            self._inputs[index] = StringArgument()
            return _input_delta(index, CustomDelta("", name), id=call_id, type="custom")
        function = FunctionDelta("", name)
        if self._is_legacy:
            return ChatDelta(function_call=function)
        call = ToolCallDelta(index=index, id=call_id, type="function", function=function)
        return ChatDelta(tool_calls=[call])

    def _arguments(self, text: str, index: int) -> list[ChatDelta]:
        if index in self._inputs:
            added = self._inputs[index].feed(text)
            return [_input_delta(index, CustomDelta(added))] if added else []
        function = FunctionDelta(text)
        if self._is_legacy:
            return [ChatDelta(function_call=function)]
        return [ChatDelta(tool_calls=[ToolCallDelta(index=index, function=function)])]


def _input_delta(index: int, custom: CustomDelta, **begin: Any) -> ChatDelta:
    return ChatDelta(tool_calls=[ToolCallDelta(index=index, custom=custom, **begin)])
