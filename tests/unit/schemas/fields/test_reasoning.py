"""The many names for whether, how hard and how long to think, and for what they come to."""

from __future__ import annotations

import pytest

from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.validate import validate
from tests.support.bodies import USER
from tests.support.problems import chat_problem


@pytest.mark.parametrize(
    ("fields", "effort", "thinks", "budget"),
    [
        ({}, None, None, None),
        ({"enable_thinking": True}, None, True, None),
        ({"enable_thinking": False}, "none", False, None),
        ({"thinking": {"type": "enabled"}}, None, True, None),
        ({"thinking": {"type": "adaptive", "budget_tokens": 9}}, None, True, 9),
        ({"thinking": {"type": "disabled"}}, "none", False, None),
        ({"think": True}, None, True, None),
        ({"think": False}, "none", False, None),
        ({"think": "low"}, "low", True, None),
        ({"reasoning": {"effort": "high"}}, "high", True, None),
        ({"reasoning": {"max_tokens": 9}}, None, True, 9),
        ({"reasoning": {"enabled": False}}, "none", False, None),
        ({"reasoning": {}}, None, None, None),
        ({"reasoning_effort": "none"}, "none", False, None),
        ({"reasoning_effort": "low", "think": "low", "thinking": {"type": "enabled"}},
         "low", True, None),
        ({"thinking_budget_tokens": 9}, None, True, 9),
        ({"reasoning_budget": 9, "thinking_token_budget": 9}, None, True, 9),
        ({"thinking_budget_tokens": 0}, None, None, 0),
        ({"reasoning_budget_tokens": -1}, None, None, None),
    ],
)  # fmt: skip
def test_all_names_come_to_the_same(fields, effort, thinks, budget):
    body = validate(ChatRequest, {"messages": [USER], **fields})
    found = (body.reasoning_effort, body.enable_thinking, body.thinking_budget)
    assert found == (effort, thinks, budget)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"enable_thinking": False, "reasoning_effort": "low"}, "enable_thinking"),
        ({"think": True, "thinking": {"type": "disabled"}}, "think"),
        ({"think": "low", "reasoning_effort": "high"}, "think"),
        ({"reasoning": {"effort": "none"}, "enable_thinking": True}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": 5}, "thinking_budget_tokens": 6}, "reasoning.max_tokens"),
        ({"reasoning_budget": 5, "thinking_budget_tokens": 6}, "reasoning_budget"),
        ({"reasoning": {"exclude": True}, "include_reasoning": True}, "reasoning.exclude"),
        ({"think": "much"}, "think"),
        ({"thinking": {"type": "often"}}, "thinking.type"),
    ],
)
def test_contradictions_and_nonsense_are_refused_by_name(fields, param):
    _, found, code = chat_problem(**fields)
    assert (found, code) == (param, "invalid_value")


def test_excluded_reasoning_is_not_shown():
    body = validate(ChatRequest, {"messages": [USER], "reasoning": {"exclude": True}})
    assert body.include_reasoning is False
