"""Output items of a response while it is generated: reasoning, messages, calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import UNSET

from pyserve.engine.protocol import Delta, TokenLogprob
from pyserve.openai.ids import new_item_id
from pyserve.openai.logprobs import chat_logprobs
from pyserve.openai.responses.history import REASONING
from pyserve.openai.responses.objects import (
    CustomToolCall,
    FunctionCall,
    ItemStatus,
    OutputItem,
    OutputMessage,
    OutputText,
    Phase,
    ReasoningItem,
    ReasoningText,
    SummaryText,
)
from pyserve.openai.responses.offer import ToolName
from pyserve.openai.responses.opaque import sealed
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

Kind = Literal["reasoning", "message", "function_call", "custom_tool_call"]
_PREFIXES = {"reasoning": "rs", "message": "msg", "function_call": "fc", "custom_tool_call": "ctc"}


class ItemStyle(msgspec.Struct, frozen=True):
    """How the items of an answer are written.

    tools: by the name that the model knows. is_summarized: thoughts are given as a summary.
    is_sealed: also in opaque form.
    """

    answer: AnswerStyle = AnswerStyle()
    tools: Mapping[str, ToolName] = {}
    is_summarized: bool = False
    is_sealed: bool = False


class Item:
    """An item while it is being written. index: its place in the output."""

    def __init__(self, kind: Kind, index: int, style: ItemStyle, call: Call | None = None) -> None:
        self.kind = kind
        self.id = new_item_id(_PREFIXES[kind])
        self.index = index
        self.text = ""
        self.logprobs: list[TokenLogprob] = []
        self.is_summary = kind == "reasoning" and style.is_summarized
        self._is_sealed = style.is_sealed
        self._call_id = "" if call is None else call.id
        name = "" if call is None else call.name
        self.tool = style.tools.get(name, ToolName("function", name))
        self._input = StringArgument() if kind == "custom_tool_call" else None

    def announced(self) -> OutputItem:
        """The item without content, for the event that announces it."""
        if self.kind == "reasoning":
            return ReasoningItem(self.id, "in_progress")
        if self.kind == "message":
            return OutputMessage(self.id, "in_progress", [])
        return self._call("", "in_progress")

    def shown(self, status: ItemStatus, phase: Phase) -> OutputItem:
        """The item with its content so far."""
        if self.kind == "message":
            return OutputMessage(self.id, status, [self.part()], phase)
        if self.kind != "reasoning":
            return self._call(self.text, status)
        encrypted = sealed(REASONING, self.text) if self._is_sealed else UNSET
        if self.is_summary:
            summary = [SummaryText(self.text)]
            return ReasoningItem(self.id, status, [], summary, encrypted)
        return ReasoningItem(self.id, status, [ReasoningText(self.text)], [], encrypted)

    def part(self) -> OutputText:
        """The text of a message; without log-probabilities when none were asked for."""
        return OutputText(self.text, chat_logprobs(self.logprobs).content)

    def add(self, text: str, logprobs: list[TokenLogprob]) -> str:
        """Add what the model wrote; returns what that is in the item."""
        added = text if self._input is None else self._input.feed(text)
        self.text += added
        self.logprobs += logprobs
        return added

    def close(self) -> str:
        """The same for the end of what the model wrote."""
        added = "" if self._input is None else self._input.close()
        self.text += added
        return added

    def _call(self, text: str, status: ItemStatus) -> OutputItem:
        cls = FunctionCall if self._input is None else CustomToolCall
        namespace = self.tool.namespace or UNSET
        return cls(self.id, self._call_id, self.tool.name, text, status, namespace)


class Step(msgspec.Struct, frozen=True):
    """An item was begun, has more text, or is done."""

    kind: Literal["begin", "more", "end"]
    item: Item
    text: str = ""
    logprobs: list[TokenLogprob] = []


class ItemWriter:
    """Sorts the deltas of one answer into items. One thread.

    n_before: other items of the output, which precede them.
    """

    def __init__(self, style: ItemStyle, n_before: int = 0) -> None:
        self.items: list[Item] = []
        self._n_before = n_before
        self._style = style
        self._read = ReadChoice(style.answer)

    @property
    def n_reasoning_tokens(self) -> int:
        return self._read.n_reasoning_tokens

    def push(self, delta: Delta) -> list[Step]:
        """The steps for one delta; an answer without any output gets an empty message."""
        n_calls = len(self._read.calls)
        pieces = self._read.push(delta)
        logprobs = delta.logprobs or []
        if self._style.answer.is_plain and logprobs and not pieces:
            pieces = [Text("")]
        steps: list[Step] = []
        for piece in pieces:
            n_calls += isinstance(piece, CallBegin)
            steps += self._place(piece, n_calls)
            if isinstance(piece, CallBegin):
                continue
            own = logprobs if isinstance(piece, Text) else []
            logprobs = [] if own else logprobs
            steps += self._add(piece.text, own)
        if delta.finish is not None:
            if not self.items:
                steps += self._place(Text(""), 0)
            steps += self._end(self.items[-1])
        return steps

    def phase(self, item: Item) -> Phase:
        """What a message is: the answer, unless something follows it."""
        return "final_answer" if item is self.items[-1] else "commentary"

    def shown(self, last: ItemStatus) -> list[OutputItem]:
        """All items; `last` is the state of the last one."""
        done = [item.shown("completed", "commentary") for item in self.items[:-1]]
        return [*done, *(item.shown(last, "final_answer") for item in self.items[-1:])]

    def _place(self, piece: Piece, n_calls: int) -> list[Step]:
        """Begin an item for `piece`, unless the last one is its own."""
        is_call = isinstance(piece, CallBegin | CallArguments)
        last = self.items[-1] if self.items else None
        call = self._read.calls[n_calls - 1] if is_call else None
        kind = self._kind(piece, call)
        if last is not None and last.kind == kind and not isinstance(piece, CallBegin):
            return []
        self.items.append(Item(kind, self._n_before + len(self.items), self._style, call))
        ended = [] if last is None else self._end(last)
        return [*ended, Step("begin", self.items[-1])]

    def _kind(self, piece: Piece, call: Call | None) -> Kind:
        if call is None:
            return "reasoning" if isinstance(piece, Thought) else "message"
        tool = self._style.tools.get(call.name)
        is_custom = tool is not None and tool.kind == "custom"
        return "custom_tool_call" if is_custom else "function_call"

    def _add(self, text: str, logprobs: list[TokenLogprob]) -> list[Step]:
        item = self.items[-1]
        added = item.add(text, logprobs)
        return [Step("more", item, added, logprobs)] if added or logprobs else []

    def _end(self, item: Item) -> list[Step]:
        rest = item.close()
        more = [Step("more", item, rest)] if rest else []
        return [*more, Step("end", item)]
