"""Who runs when: priorities, deadlines, tenants, and cancelling a long prompt."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine, NativeCore
from pyserve.engine.protocol import Accepted, Delta, Event, Failed, GenerateRequest, Step
from pyserve.errors import CancelledError, DeadlineExceededError
from tests.native.helpers import GREEDY, Answer, ask, assert_same_up_to_ties, read, submit
from tests.support.endless import ENDLESS, occupy
from tests.support.tiny.llama import write_tiny_llama
from tests.support.tiny.memories import write_tiny

LONG = 16384
N_TRIES = 20


def settings(tiny_model: Path, **fields: int) -> EngineConfig:
    fields = {"n_ctx": ENDLESS, "n_kv": ENDLESS, "n_seq_max": 1, **fields}
    return EngineConfig(model_id="tiny", model_path=str(tiny_model), **fields)


@pytest.fixture
def narrow(tiny_model: Path) -> Iterator[LocalEngine]:
    """One request at a time."""
    engine = LocalEngine(settings(tiny_model))
    yield engine
    engine.close()


@pytest.fixture
def narrow_core(tiny_model: Path) -> Iterator[NativeCore]:
    """One request at a time, and events in the order in which they happen."""
    core = NativeCore(settings(tiny_model))
    yield core
    core.close()


def order_of_ends(core: NativeCore, requests: dict[int, GenerateRequest]) -> list[int]:
    """The ids in the order in which they end, when all wait before the first one starts."""
    first = 0
    core.submit(first, GenerateRequest(prompt="a", sampling=GREEDY))
    while not any(isinstance(event, Step) for event in core.poll(30)):
        pass
    for request_id, request in requests.items():
        core.submit(request_id, request)
    n_accepted, ends = 0, []
    while n_accepted < len(requests) or core.stats().n_waiting < len(requests):
        n_accepted += sum(isinstance(event, Accepted) for event in core.poll(0.01))
    core.cancel(first)
    while len(ends) < len(requests):
        for event in core.poll(30):
            if isinstance(event, Step) and event.delta.finish is not None:
                ends.append(event.request_id)
    return ends


def test_higher_priorities_start_first(narrow_core: NativeCore) -> None:
    requests = {
        number: GenerateRequest(
            prompt=f"the cat {number}", sampling=GREEDY, priority=priority, max_tokens=30
        )
        for number, priority in {1: -5, 2: 0, 3: 5}.items()
    }
    assert order_of_ends(narrow_core, requests) == [3, 2, 1]


def test_a_tenant_that_sends_much_does_not_delay_another(narrow_core: NativeCore) -> None:
    requests = {
        number: GenerateRequest(
            prompt=f"the cat {number}", sampling=GREEDY, tenant="many", max_tokens=60
        )
        for number in range(1, 7)
    }
    other = "the cat of the other"
    requests[7] = GenerateRequest(prompt=other, sampling=GREEDY, tenant="few", max_tokens=60)
    assert order_of_ends(narrow_core, requests).index(7) <= 1


def test_a_deadline_ends_the_wait_and_nothing_else(narrow: LocalEngine) -> None:
    first = occupy(narrow)
    late = submit(narrow, "b", deadline_ms=20.0)
    with pytest.raises(DeadlineExceededError, match="its deadline was 20 ms") as caught:
        list(late)
    assert caught.value.details["waited_ms"] >= 20
    in_time = submit(narrow, "c", deadline_ms=60_000.0)
    first.cancel()
    assert read(in_time).finish.reason == "length"


def test_a_cancelled_prompt_stops_inside_its_step(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "long.gguf", n_ctx=LONG)
    sizes = {"n_ctx": LONG, "n_batch": LONG, "n_seq_max": 2}
    one_step = 600_000.0  # has room for all of it
    engine = LocalEngine(
        EngineConfig(model_id="long", model_path=str(path), max_token_gap_ms=one_step, **sizes)
    )
    prompt = [65 + i % 50 for i in range(16000)]
    whole = ask(engine, prompt, max_tokens=1, cache_salt="whole").finish
    quarter_s = whole.timings.prompt_ms / 1000 / 4
    assert any(stops_in_time(engine, prompt, quarter_s, str(i)) for i in range(N_TRIES))
    assert ask(engine, prompt[:100], max_tokens=5).finish.reason == "length"
    engine.close()


def stops_in_time(engine: LocalEngine, prompt: list[int], after_s: float, salt: str) -> bool:
    """Whether a cancel ended it before it was computed. False too if the cancel came too late."""
    n_before = engine.stats().n_prompt_tokens
    stream = submit(engine, prompt, max_tokens=1, cache_salt=salt)
    assert stream.wait_accepted(30)
    time.sleep(after_s)
    stream.cancel()
    with contextlib.suppress(CancelledError):
        list(stream)
    return engine.stats().n_prompt_tokens == n_before


def test_times_between_tokens_and_the_cells_in_use_are_counted(tiny_model: Path) -> None:
    engine = LocalEngine(settings(tiny_model, n_seq_max=2))
    prompt = [65 + i % 50 for i in range(30)]
    answers = [ask(engine, prompt, max_tokens=n) for n in (1, 9)]
    n_said = sum(answer.finish.usage.n_completion_tokens for answer in answers)
    stats = engine.stats()
    bounds = [bound for bound, _ in stats.gaps]
    assert bounds == sorted(bounds)
    assert bounds[-1] == float("inf")
    assert sum(count for _, count in stats.gaps) == n_said - len(answers)
    assert stats.gaps_ms > 0
    assert stats.n_kv_held == 0 < stats.n_kv_used, "kept for later, needed by nobody"
    assert stats.rss_bytes > 0
    occupy(engine, prompt)
    assert engine.stats().n_kv_held >= len(prompt)
    engine.close()


# Each has work for minutes.
BACKGROUND = [
    {"prompt": "once upon"},
    {"prompt": "once upon", "deterministic": True},
    {"tokens": [65] * (ENDLESS - 1), "wants_embedding": True},
]


@pytest.mark.parametrize("fields", BACKGROUND, ids=["batch", "deterministic", "embedding"])
@pytest.mark.parametrize("n_seq_max", [1, 2])
def test_the_background_stands_still_while_others_run(tiny_model, n_seq_max, fields):
    """What comes meanwhile is answered without a step of it in between."""
    core = NativeCore(settings(tiny_model, n_seq_max=n_seq_max))
    core.submit(2, GenerateRequest(sampling=GREEDY, background=True, **fields))
    while core.stats().n_running == 0:
        core.poll(0.01)
    core.submit(3, GenerateRequest(prompt="and", sampling=GREEDY, max_tokens=40))
    order = [each.request_id for each in until_ended(core, {3}) if isinstance(each, Step)]
    begin = order.index(3)
    end = begin + order.count(3)
    assert order[begin:end] == [3] * order.count(3)
    after = order[end:]
    while "tokens" not in fields and not after:  # it goes on
        after = [each.request_id for each in core.poll(30) if isinstance(each, Step)]
    assert set(after) <= {2}
    assert core.stats().n_running + core.stats().n_waiting == 1
    core.close()


def test_nobody_waits_for_a_prefix_that_the_background_computes(tiny_model):
    core = NativeCore(settings(tiny_model, n_seq_max=4))
    asked = {"prompt": "word " * 1500, "sampling": GREEDY}
    core.submit(1, GenerateRequest(background=True, **asked))
    while core.stats().n_running == 0:
        core.poll(0.01)
    core.submit(2, GenerateRequest(max_tokens=4, **asked))
    until_ended(core, {2})  # which waiting for the other one would put off for ever
    core.close()


def test_an_answer_in_the_background_that_gave_way_is_the_same_as_alone(narrow_core):
    asked = {"prompt": "once upon", "sampling": GREEDY, "max_tokens": 200, "deterministic": True}
    alone = ends_of(narrow_core, {1: GenerateRequest(**asked)})[1]
    gave_way = False
    for first in range(2, 2 + 2 * N_TRIES, 2):
        steps = beside_another(narrow_core, first, GenerateRequest(background=True, **asked))
        text = "".join(each.delta.text for each in steps if each.request_id == first)
        assert text == alone.text
        # It has ended before the other one came, if that took its time.
        gave_way = steps[-1].request_id == first
        if gave_way:
            break
    assert gave_way


def beside_another(core: NativeCore, request_id: int, request: GenerateRequest) -> list[Step]:
    """The steps of a request and of another one that comes when it has begun."""
    core.submit(request_id, request)
    steps: list[Step] = []
    while not steps:
        steps = [event for event in core.poll(30) if isinstance(event, Step)]
    ids = {request_id, request_id + 1}
    ids -= {each.request_id for each in steps if each.delta.finish is not None}
    core.submit(request_id + 1, GenerateRequest(prompt="x", deterministic=True, max_tokens=5))
    return steps + [each for each in until_ended(core, ids) if isinstance(each, Step)]


ONE_STEP = [65 + i % 50 for i in range(4000)]  # a prompt that takes a while
LOGPROBS = {"sampling": GREEDY, "max_tokens": 8, "n_logprobs": 2}
GIVING_WAY = {
    "batch": LOGPROBS,
    "deterministic": {"deterministic": True, **LOGPROBS},
    "embedding": {"wants_embedding": True},
}


def one_step_core(path: Path, family: str = "llama") -> NativeCore:
    """Prompts are computed in one step."""
    (
        write_tiny_llama(path, n_ctx=LONG)
        if family == "llama"
        else write_tiny(path, family, n_ctx=LONG)
    )
    return NativeCore(
        EngineConfig(
            model_id="long",
            model_path=str(path),
            n_ctx=LONG,
            n_kv=LONG,
            n_batch=LONG,
            n_seq_max=2,
        )
    )


def answer_beside_another(core: NativeCore, number: int, asked: dict[str, Any]) -> Answer:
    """The answer to a request in the background, beside which another one comes."""
    core.submit(number, GenerateRequest(background=True, cache_salt=str(number), **asked))
    events: list[Event] = []
    while not any(isinstance(each, Accepted) for each in events):
        events += core.poll(30)
    core.submit(number + 1, GenerateRequest(prompt="and", sampling=GREEDY, max_tokens=4))
    deltas = {number: list[Delta](), number + 1: list[Delta]()}
    while not all(each and each[-1].finish for each in deltas.values()):
        for event in events:
            assert not isinstance(event, Failed), event
            if isinstance(event, Step):
                deltas[event.request_id].append(event.delta)
        events = core.poll(0.1)
    return Answer(deltas[number])


@pytest.mark.parametrize("kind", GIVING_WAY)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_a_step_in_the_background_is_broken_off_and_done_again(
    tmp_path: Path, family: str, kind: str
) -> None:
    """Nobody waits for its end, and what comes of it is the same as alone."""
    core = one_step_core(tmp_path / "long.gguf", family)
    asked: dict[str, Any] = {"tokens": ONE_STEP, **GIVING_WAY[kind]}
    alone = ends_of(core, {0: GenerateRequest(cache_salt="alone", **asked)})[0]
    number = 1
    while core.stats().n_gave_way == 0:  # the other one may come between two steps
        answer = answer_beside_another(core, number, asked)
        number += 2
        if kind == "embedding":
            vectors = [
                np.frombuffer(each.deltas[-1].embedding or b"", "<f4") for each in (alone, answer)
            ]
            assert np.allclose(*vectors, atol=1e-5)
        elif kind == "deterministic":
            assert (answer.text, answer.logprobs) == (alone.text, alone.logprobs)
        else:
            assert_same_up_to_ties(alone, answer)
    core.close()


def test_a_state_that_goes_on_with_every_step_is_not_broken_off(tmp_path: Path) -> None:
    core = one_step_core(tmp_path / "long.gguf", "jamba")
    asked: dict[str, Any] = {"tokens": ONE_STEP[:2000], **LOGPROBS}
    alone = ends_of(core, {0: GenerateRequest(cache_salt="alone", **asked)})[0]
    for number in (1, 3, 5):
        assert_same_up_to_ties(alone, answer_beside_another(core, number, asked))
    assert core.stats().n_gave_way == 0
    core.close()


def test_the_background_gets_on_where_somebody_comes_all_the_time(tmp_path: Path) -> None:
    core = one_step_core(tmp_path / "long.gguf")
    core.submit(0, GenerateRequest(tokens=ONE_STEP, background=True, sampling=GREEDY, max_tokens=1))
    number, ended = 0, False
    while not ended:
        number += 1
        core.submit(number, GenerateRequest(prompt="and", sampling=GREEDY, max_tokens=1))
        steps = [each for each in until_ended(core, {number}) if isinstance(each, Step)]
        ended = any(each.request_id == 0 for each in steps)
    core.close()


def until_ended(core: NativeCore, ids: set[int]) -> list[Event]:
    """All events until the requests have ended."""
    events: list[Event] = []
    while ids:
        for event in core.poll(30):
            events.append(event)
            assert not isinstance(event, Failed), event
            if isinstance(event, Step) and event.delta.finish is not None:
                ids.discard(event.request_id)
    return events


def ends_of(core: NativeCore, requests: dict[int, GenerateRequest]) -> dict[int, Answer]:
    for request_id, request in requests.items():
        core.submit(request_id, request)
    steps = [each for each in until_ended(core, set(requests)) if isinstance(each, Step)]
    return {
        request_id: Answer([each.delta for each in steps if each.request_id == request_id])
        for request_id in requests
    }
