"""`truncation: "auto"`: cuts the oldest turns of a conversation that exceeds the context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

Message = dict[str, Any]

# For the answer is kept free what the request asks for, but no more than half of the context.
DEFAULT_ANSWER_SHARE = 8
MAX_ANSWER_SHARE = 2


class Cut(msgspec.Struct, frozen=True):
    """The messages that are kept, and the size of what was left out."""

    messages: list[Message]
    dropped_messages: int = 0
    dropped_tokens: int = 0


def cut_to_fit(
    messages: list[Message],
    n_ctx: int,
    n_max_tokens: int | None,
    count: Callable[[list[Message]], int],
) -> Cut:
    """Leave out as few of the oldest turns as make room for the answer.

    System messages at the start and the last turn always stay, so the rest may still not fit.
    n_max_tokens: most tokens of the answer. count: the tokens of the prompt of such messages.
    """
    n_room = n_ctx - _n_answer(n_ctx, n_max_tokens)
    n_whole = count(messages)
    head, turns = split_turns(messages)
    if n_whole <= n_room or len(turns) <= 1:
        return Cut(messages)
    kept, n_kept = messages, n_whole
    low, high = 1, len(turns) - 1  # how many turns to leave out; the prompt shrinks with each
    while low <= high:
        middle = (low + high) // 2
        shorter = _join(head, turns[middle:])
        n_shorter = count(shorter)
        if n_shorter <= n_room or middle == len(turns) - 1:
            kept, n_kept, high = shorter, n_shorter, middle - 1
        else:
            low = middle + 1
    return Cut(kept, len(messages) - len(kept), n_whole - n_kept)


def _n_answer(n_ctx: int, n_max_tokens: int | None) -> int:
    """Tokens to keep free, at least one."""
    wanted = n_ctx // DEFAULT_ANSWER_SHARE if n_max_tokens is None else n_max_tokens
    return max(1, min(wanted, n_ctx // MAX_ANSWER_SHARE))


def _join(head: Sequence[Message], turns: Sequence[Sequence[Message]]) -> list[Message]:
    return [*head, *(message for turn in turns for message in turn)]


def split_turns(messages: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """Splits messages into leading system messages and turns: a user's message and its answers."""
    n_head = next(
        (i for i, message in enumerate(messages) if message["role"] != "system"), len(messages)
    )
    turns: list[list[Message]] = []
    for message in messages[n_head:]:
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return list(messages[:n_head]), turns
