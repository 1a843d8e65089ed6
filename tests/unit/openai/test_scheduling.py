"""What the scheduler of the engine is told."""

from __future__ import annotations

import pytest

from pyserve.openai.chat.chat import chat_requests
from pyserve.openai.completions.completions import completion_requests
from pyserve.openai.edits import edit_requests
from tests.support.answers import INFO
from tests.support.bodies import chat, completion, edit


@pytest.mark.parametrize(
    "requests_of",
    [
        lambda **f: chat_requests(chat(**f), INFO),
        lambda **f: completion_requests(completion(prompt="x", **f), INFO),
        lambda **f: edit_requests(edit(**f), INFO),
    ],
)
def test_what_the_scheduler_should_know_reaches_the_engine(requests_of):
    fields = {"cache_salt": "s", "prompt_cache_key": "k", "priority": -3}
    fields |= {"deterministic": True, "speculative.n_max": 0}
    (given,) = requests_of(**fields)
    assert (given.cache_salt, given.priority, given.deterministic) == ("s", -3, True)
    (absent,) = requests_of()
    assert (given.session, absent.session) == ("k", "")
    assert (given.n_draft_max, absent.n_draft_max) == (0, None)
    assert (absent.cache_salt, absent.priority, absent.deterministic) == ("", 0, False)


@pytest.mark.parametrize(
    ("fields", "gap_ms"),
    [
        ({}, None),
        ({"max_token_gap_ms": 250}, 250),
        ({"max_token_gap_ms": 0}, 0),
        ({"service_tier": "flex"}, 0),
        ({"service_tier": "flex", "max_token_gap_ms": 80}, 80),
        ({"service_tier": "priority"}, None),
    ],
)
def test_answers_that_nobody_reads_along_may_have_long_gaps(fields, gap_ms):
    (request,) = chat_requests(chat(**fields), INFO)
    assert request.max_token_gap_ms == gap_ms
