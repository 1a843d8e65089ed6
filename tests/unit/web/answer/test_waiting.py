"""What a client is told that waits."""

from __future__ import annotations

from typing import Any

import pytest

from pyserve.engine.protocol import Progress
from pyserve.openai.reports import PromptProgress
from pyserve.web.answer.waiting import place_of, prompt_progress, said_of


def progress(**fields: Any) -> Progress:
    return Progress(request_id=1, **fields)


QUEUED = progress(position=3, n_waiting=7, eta_ms=13_200.0)
NEXT = progress(position=1, n_waiting=7)
STARTED = progress(n_prompt_tokens=8000, n_computed_tokens=3072, eta_ms=40_100.0, prompt_ms=9.0)
OTHER = progress(n_prompt_tokens=100, n_computed_tokens=50, n_cached_tokens=10, prompt_ms=5.0)


@pytest.mark.parametrize(
    ("told", "said", "position"),
    [
        ([], "", None),
        ([None], "", None),
        ([QUEUED], "queued position=3 of=7 eta=14s", 3),
        ([QUEUED, NEXT, None], "queued position=1 of=7", 1),
        ([STARTED], "prompt 3072/8000 eta=41s", None),
        ([OTHER], "prompt 50/100", None),
        ([QUEUED, STARTED, OTHER], "prompt 3122/8100 eta=41s", None),
    ],
)
def test_the_sentence_tells_the_place_or_the_prompt(told, said, position):
    assert said_of(told) == said
    place = place_of(told)
    assert (place and place.position) == position


def test_the_progress_is_that_of_all_requests():
    assert prompt_progress([None], 12) == PromptProgress(12)
    assert prompt_progress([STARTED, OTHER, None], 8112) == PromptProgress(8112, 10, 3122, 9.0)
