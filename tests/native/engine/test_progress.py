"""What the native engine tells of requests that wait, and of the time that answers take."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import NativeCore
from pyserve.engine.protocol import Event, Failed, GenerateRequest, Progress, Step
from pyserve.errors import QueueFullError
from tests.native.helpers import GREEDY
from tests.support.endless import ENDLESS

N_PROMPT = 180
N_BATCH = 16

Start = Callable[..., NativeCore]


@pytest.fixture
def start(tiny_model: Path) -> Iterator[Start]:
    cores: list[NativeCore] = []

    def start_one(**fields: Any) -> NativeCore:
        fields = {"n_kv": 2048, **fields}
        config = EngineConfig(model_id="tiny", model_path=str(tiny_model), **fields)
        cores.append(NativeCore(config))
        return cores[-1]

    yield start_one
    for core in cores:
        core.close()


def request(**fields: Any) -> GenerateRequest:
    fields = {"sampling": GREEDY, "max_tokens": 8, **fields}
    return GenerateRequest(tokens=[65 + i % 20 for i in range(N_PROMPT)], **fields)


def is_last(event: Event) -> bool:
    return isinstance(event, Failed) or (isinstance(event, Step) and event.delta.finish is not None)


def events_of(core: NativeCore, asked: GenerateRequest) -> list[Event]:
    core.submit(1, asked)
    events: list[Event] = []
    while not any(map(is_last, events)):
        events += core.poll(1.0)
    return events


@pytest.mark.parametrize("deterministic", [False, True])
def test_progress_grows_to_the_whole_prompt_before_the_first_token(
    start: Start, deterministic: bool
) -> None:
    core = start(n_batch=N_BATCH)
    events = events_of(core, request(wants_progress=True, deterministic=deterministic))
    told = [event for event in events if isinstance(event, Progress)]
    computed = [progress.n_computed_tokens for progress in told]
    assert computed == sorted(computed)
    assert computed[-1] == N_PROMPT
    assert {progress.n_prompt_tokens for progress in told} == {N_PROMPT}
    assert {progress.position for progress in told} == {0}
    first_step = next(i for i, event in enumerate(events) if isinstance(event, Step))
    assert events.index(told[-1]) < first_step


def test_what_is_cached_counts_as_computed(start: Start) -> None:
    core = start(n_batch=N_BATCH)
    events_of(core, request())
    told = [e for e in events_of(core, request(wants_progress=True)) if isinstance(e, Progress)]
    assert {progress.n_cached_tokens for progress in told} == {N_PROMPT - 1}
    assert told[-1].n_computed_tokens == N_PROMPT


def test_every_delta_tells_the_times_so_far_where_that_is_asked_for(start: Start) -> None:
    core = start()
    steps = [e.delta for e in events_of(core, request(wants_timings=True)) if isinstance(e, Step)]
    *others, last = steps
    n_said = list(itertools.accumulate(len(delta.tokens) for delta in others))
    told = [delta.so_far.usage.n_completion_tokens for delta in others if delta.so_far]
    assert told == n_said != []
    assert last.so_far is None
    assert last.finish is not None
    assert last.finish.timings.prompt_ms == others[0].so_far.timings.prompt_ms
    plain = [e.delta for e in events_of(core, request()) if isinstance(e, Step)]
    assert {delta.so_far for delta in plain} == {None}


def test_those_that_wait_are_told_their_own_places(start: Start) -> None:
    core = start(n_seq_max=1, n_queue_max=3, n_ctx=ENDLESS, n_kv=ENDLESS)
    core.submit(1, request(max_tokens=None))
    while core.stats().n_running == 0:
        core.poll(0.01)
    for request_id, priority in {2: -1, 3: 5, 4: 0}.items():
        core.submit(request_id, request(priority=priority))
    told: list[Progress] = []
    while len(told) < 3:
        events = [event for event in core.poll(1.0) if isinstance(event, Progress)]
        told += [progress for progress in events if progress.n_waiting == 3]
    assert [(progress.request_id, progress.position) for progress in told[:3]] == [
        (3, 1),
        (4, 2),
        (2, 3),
    ]


def test_who_is_turned_away_is_told_when_to_come_again(start: Start) -> None:
    core = start(n_seq_max=2, n_queue_max=1, n_ctx=ENDLESS, n_kv=ENDLESS)
    endless = request(max_tokens=None)
    core.submit(1, endless)  # it is there to the end: ends count while any is
    core.submit(2, endless)
    core.submit(3, endless)
    with pytest.raises(QueueFullError) as caught:
        core.submit(4, request())
    assert "retry_after_s" not in caught.value.details
    for request_id in (2, 3):
        core.cancel(request_id)
        while not any(is_last(event) for event in core.poll(1.0)):
            pass
    core.submit(4, endless)
    core.submit(5, request())
    with pytest.raises(QueueFullError) as caught:
        core.submit(6, request())
    assert 1 <= caught.value.details["retry_after_s"] <= 60
