"""Sorts the deltas of one answer into content blocks: thoughts, text, calls."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pyserve.anthropic.objects import (
    BlockDelta,
    BlockStart,
    BlockStop,
    ContentBlock,
    MessageText,
    MessageThinking,
    MessageToolUse,
    MoreInput,
    MoreText,
    MoreThinking,
    Signature,
)
from pyserve.anthropic.signature import signature_of
from pyserve.engine.protocol import Delta
from pyserve.openai.tools.parsed_answer import Call, ReadChoice
from pyserve.openai.tools.parts import AnswerStyle, CallArguments, CallBegin, Piece, Text, Thought

Kind = Literal["text", "thinking", "tool_use"]
# How thoughts are told: as they are, in their signature alone, or not at all.
Thoughts = Literal["shown", "omitted", "hidden"]
Events = list[msgspec.Struct]


class Block:
    """A block while it is being written."""

    def __init__(self, kind: Kind, index: int, call: Call | None = None) -> None:
        self.kind = kind
        self.index = index
        self.call = call
        self.text = ""

    def whole(self, signature: str = "", *, is_omitted: bool = False) -> ContentBlock:
        """The block with its content so far."""
        if self.call is not None:
            call_id = self.call.id.replace("call_", "toolu_", 1)
            return MessageToolUse(call_id, self.call.name, _input(self.text))
        if self.kind == "thinking":
            return MessageThinking("" if is_omitted else self.text, signature)
        return MessageText(self.text)


class BlockWriter:
    """The blocks of one answer, which follow each other. One thread.

    An answer without any output has an empty text.
    """

    def __init__(self, style: AnswerStyle, thoughts: Thoughts) -> None:
        self.blocks: list[Block] = []
        self._read = ReadChoice(style)
        self._thoughts = thoughts

    @property
    def n_thinking_tokens(self) -> int:
        return self._read.n_reasoning_tokens

    @property
    def has_calls(self) -> bool:
        return bool(self._read.calls)

    def push(self, delta: Delta) -> Events:
        """The events of one delta; the last one ends the last block."""
        n_calls = len(self._read.calls)  # before those of `delta`
        events: Events = []
        for piece in self._read.push(delta):
            n_calls += isinstance(piece, CallBegin)
            if isinstance(piece, Thought) and self._thoughts == "hidden":
                continue
            events += self._place(piece, n_calls)
            if not isinstance(piece, CallBegin):
                events += self._add(piece)
        if delta.finish is not None:
            events += [] if self.blocks else self.begin("text")
            events += self._end()
        return events

    def begin(self, kind: Kind, call: Call | None = None) -> Events:
        """The begin of the next block."""
        block = Block(kind, len(self.blocks), call)
        self.blocks.append(block)
        return [BlockStart(index=block.index, content_block=block.whole())]

    def content(self) -> list[ContentBlock]:
        """All blocks."""
        is_omitted = self._thoughts == "omitted"
        return [block.whole(self._signature(block), is_omitted=is_omitted) for block in self.blocks]

    def _place(self, piece: Piece, n_calls: int) -> Events:
        """Begin a block for `piece`, unless the last one is its own."""
        kind: Kind = "text" if isinstance(piece, Text) else "tool_use"
        kind = "thinking" if isinstance(piece, Thought) else kind
        if self.blocks:
            if self.blocks[-1].kind == kind and not isinstance(piece, CallBegin):
                return []
            ended = self._end()
        else:
            ended = []
        return [
            *ended,
            *self.begin(kind, self._read.calls[n_calls - 1] if kind == "tool_use" else None),
        ]

    def _add(self, piece: Text | Thought | CallArguments) -> Events:
        block = self.blocks[-1]
        block.text += piece.text
        if isinstance(piece, Thought):
            delta: Any = None if self._thoughts == "omitted" else MoreThinking(piece.text)
        else:
            delta = MoreText(piece.text) if isinstance(piece, Text) else MoreInput(piece.text)
        return [] if delta is None else [BlockDelta(index=block.index, delta=delta)]

    def _end(self) -> Events:
        block = self.blocks[-1]
        stop = BlockStop(index=block.index)
        if block.kind != "thinking":
            return [stop]
        return [BlockDelta(index=block.index, delta=Signature(self._signature(block))), stop]

    def _signature(self, block: Block) -> str:
        return signature_of(block.text, is_sealed=self._thoughts == "omitted")


def _input(arguments: str) -> dict[str, Any]:
    """The input of a call; {} where it is no object, because it was cut off."""
    try:
        value = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
