from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.openai.chat.truncation import Cut, cut_to_fit, split_turns


def say(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def count(messages: list[dict[str, Any]]) -> int:
    """Ten tokens around the words of all messages."""
    return 10 + sum(len(message["content"].split()) for message in messages)


SYSTEM = say("system", "be kind")
TALK = [
    say("user", "a " * 10),
    say("assistant", "b " * 10),
    say("tool", "c " * 10),
    say("user", "d " * 10),
    say("assistant", "e " * 10),
    say("user", "f " * 10),
]


def test_turns_begin_with_what_a_user_says():
    head, turns = split_turns([SYSTEM, SYSTEM, *TALK])
    assert head == [SYSTEM, SYSTEM]
    assert [len(turn) for turn in turns] == [3, 2, 1]


def test_what_is_before_the_first_user_is_a_turn():
    head, turns = split_turns([say("assistant", "hi"), SYSTEM, *TALK[:1]])
    assert head == []
    assert [len(turn) for turn in turns] == [2, 1]


@pytest.mark.parametrize(
    ("n_ctx", "n_max_tokens", "n_dropped"),
    [(100, 28, 0), (100, 29, 3), (73, 1, 0), (72, 1, 3), (43, 1, 3), (42, 1, 5), (10, 1, 5)],
)
def test_as_few_of_the_oldest_turns_as_need_be_are_left_out(n_ctx, n_max_tokens, n_dropped):
    messages = [SYSTEM, *TALK]
    cut = cut_to_fit(messages, n_ctx, n_max_tokens, count)
    assert cut == Cut([SYSTEM, *TALK[n_dropped:]], n_dropped, 10 * n_dropped)


@pytest.mark.parametrize(("n_ctx", "n_dropped"), [(83, 0), (81, 3)])
def test_an_eighth_of_the_context_is_kept_for_an_answer_of_any_length(n_ctx, n_dropped):
    cut = cut_to_fit([SYSTEM, *TALK], n_ctx, None, count)
    assert cut.dropped_messages == n_dropped


def test_no_more_than_half_of_the_context_is_kept_for_the_answer():
    cut = cut_to_fit([SYSTEM, *TALK], 144, 10**6, count)
    assert cut.dropped_messages == 0


@given(st.lists(st.sampled_from(["system", "user", "assistant", "tool"]), min_size=1), st.data())
def test_what_stays_fits_or_is_the_last_turn(roles, data):
    messages = [say(role, "w " * data.draw(st.integers(0, 9))) for role in roles]
    n_ctx = data.draw(st.integers(2, 100))
    cut = cut_to_fit(messages, n_ctx, 1, count)
    head, turns = split_turns(messages)
    shorter = [
        [*head, *(message for turn in turns[i:] for message in turn)]
        for i in range(max(len(turns), 1))
    ]
    fitting = [candidate for candidate in shorter if count(candidate) <= n_ctx - 1]
    assert cut.messages == (fitting or shorter[-1:])[0]
    assert cut.dropped_tokens == count(messages) - count(cut.messages)
