"""One choice of a chat completion: its deltas when streamed, else its message."""

from __future__ import annotations

from msgspec import UNSET

from pyserve.engine.protocol import Delta, FinishReason
from pyserve.openai.chat.objects import (
    CalledFunction,
    ChatDelta,
    ChatFinishReason,
    ChatMessage,
    FunctionDelta,
    MessageToolCall,
    ToolCallDelta,
)
from pyserve.openai.tools.parsed_answer import ReadChoice
from pyserve.openai.tools.parts import (
    AnswerStyle,
    CallArguments,
    CallBegin,
    Piece,
    Text,
    Thought,
)


class ChoiceWriter:
    """Turns the deltas of the engine into those of a choice. One thread.

    is_legacy: calls are shown as `function_call`. shows_reasoning: else they are only counted.
    """

    def __init__(self, style: AnswerStyle, *, is_legacy: bool, shows_reasoning: bool) -> None:
        self._read = ReadChoice(style)
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
                written.append(self._delta(piece, n_calls - 1))
        return written

    def message(self) -> ChatMessage:
        """The whole message. REQUIRES: the last delta was pushed."""
        read = self._read
        reasoning = read.reasoning if read.reasoning and self._shows_reasoning else UNSET
        calls = [
            MessageToolCall(call.id, CalledFunction(call.name, call.arguments))
            for call in read.calls
        ]
        is_legacy = self._is_legacy
        return ChatMessage(
            content=None if calls and not read.text else read.text,
            reasoning_content=reasoning,
            reasoning=reasoning,
            tool_calls=calls if calls and not is_legacy else UNSET,
            function_call=calls[0].function if calls and is_legacy else UNSET,
        )

    def finish_reason(self, reason: FinishReason) -> ChatFinishReason:
        if reason != "stop" or not self._read.calls:
            return reason
        return "function_call" if self._is_legacy else "tool_calls"

    def _delta(self, piece: Piece, index: int) -> ChatDelta:
        match piece:
            case Text(text):
                return ChatDelta(content=text)
            case Thought(text):
                return ChatDelta(reasoning_content=text, reasoning=text)
            case CallBegin(name):
                function = FunctionDelta("", name)
                call_id = self._read.calls[index].id
                call = ToolCallDelta(index=index, id=call_id, type="function", function=function)
            case CallArguments(text):
                function = FunctionDelta(text)
                call = ToolCallDelta(index=index, function=function)
        if self._is_legacy:
            return ChatDelta(function_call=function)
        return ChatDelta(tool_calls=[call])
