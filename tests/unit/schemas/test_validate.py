"""What is said about fields that are wrong."""

from __future__ import annotations

from tests.support.problems import chat_problem


def test_messages_carry_the_numbers_but_no_text():
    assert "but is 3.5" in chat_problem(temperature=3.5)[0]
    assert "but is true" in chat_problem(n=True)[0]
    message = chat_problem(stop="secret" * 60)[0]
    assert "360" in message
    assert "secret" not in message
