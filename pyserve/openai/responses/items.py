"""Output items of a response while it is generated: reasoning, messages, function calls."""

from __future__ import annotations

from typing import Literal

import msgspec

from pyserve.engine.protocol import Delta, TokenLogprob
from pyserve.openai.ids import new_item_id
from pyserve.openai.logprobs import chat_logprobs
from pyserve.openai.responses.objects import (
    FunctionCall,
    ItemStatus,
    OutputItem,
    OutputMessage,
    OutputText,
    ReasoningItem,
    ReasoningText,
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

Kind = Literal["reasoning", "message", "function_call"]
_PREFIXES = {"reasoning": "rs", "message": "msg", "function_call": "fc"}


class Item:
    """An item while it is being written. index: its place in the output."""

    def __init__(self, kind: Kind, index: int, call: Call | None = None) -> None:
        self.kind = kind
        self.id = new_item_id(_PREFIXES[kind])
        self.index = index
        self.call = call
        self.text = ""
        self.logprobs: list[TokenLogprob] = []

    def announced(self) -> OutputItem:
        """The item without content, for the event that announces it."""
        if self.call is not None:
            return FunctionCall(self.id, self.call.id, self.call.name, "", "in_progress")
        if self.kind == "reasoning":
            return ReasoningItem(self.id, "in_progress", [])
        return OutputMessage(self.id, "in_progress", [])

    def shown(self, status: ItemStatus) -> OutputItem:
        """The item with its content so far."""
        if self.call is not None:
            return FunctionCall(self.id, self.call.id, self.call.name, self.text, status)
        if self.kind == "reasoning":
            return ReasoningItem(self.id, status, [ReasoningText(self.text)])
        return OutputMessage(self.id, status, [self.part()])

    def part(self) -> OutputText:
        """The text of a message; without log-probabilities when none were asked for."""
        return OutputText(self.text, chat_logprobs(self.logprobs).content)


class Step(msgspec.Struct, frozen=True):
    """An item was begun, has more text, or is done."""

    kind: Literal["begin", "more", "end"]
    item: Item
    text: str = ""
    logprobs: list[TokenLogprob] = []


class ItemWriter:
    """Sorts the deltas of one answer into items. One thread."""

    def __init__(self, style: AnswerStyle) -> None:
        self.items: list[Item] = []
        self._read = ReadChoice(style)
        self._is_plain = style.is_plain

    @property
    def n_reasoning_tokens(self) -> int:
        return self._read.n_reasoning_tokens

    def push(self, delta: Delta) -> list[Step]:
        """The steps for one delta; an answer without any output gets an empty message."""
        n_calls = len(self._read.calls)
        pieces = self._read.push(delta)
        logprobs = delta.logprobs or []
        if self._is_plain and logprobs and not pieces:
            pieces = [Text("")]
        steps: list[Step] = []
        for piece in pieces:
            n_calls += isinstance(piece, CallBegin)
            steps += self._place(piece, n_calls)
            if isinstance(piece, CallBegin):
                continue
            own = logprobs if isinstance(piece, Text) else []
            logprobs = [] if own else logprobs
            steps.append(self._add(piece.text, own))
        if delta.finish is not None:
            if not self.items:
                steps += self._place(Text(""), 0)
            steps.append(Step("end", self.items[-1]))
        return steps

    def shown(self, last: ItemStatus) -> list[OutputItem]:
        """All items; `last` is the state of the last one."""
        done = [item.shown("completed") for item in self.items[:-1]]
        return [*done, *(item.shown(last) for item in self.items[-1:])]

    def _place(self, piece: Piece, n_calls: int) -> list[Step]:
        """Begin an item for `piece`, unless the last one is its own."""
        kind: Kind = "message"
        if isinstance(piece, Thought):
            kind = "reasoning"
        elif isinstance(piece, CallBegin | CallArguments):
            kind = "function_call"
        last = self.items[-1] if self.items else None
        if last is not None and last.kind == kind and not isinstance(piece, CallBegin):
            return []
        call = self._read.calls[n_calls - 1] if kind == "function_call" else None
        self.items.append(Item(kind, len(self.items), call))
        ended = [] if last is None else [Step("end", last)]
        return [*ended, Step("begin", self.items[-1])]

    def _add(self, text: str, logprobs: list[TokenLogprob]) -> Step:
        item = self.items[-1]
        item.text += text
        item.logprobs += logprobs
        return Step("more", item, text, logprobs)
