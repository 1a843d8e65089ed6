"""Who runs when: priorities, deadlines, tenants, and cancelling a long prompt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine, NativeCore
from pyserve.engine.protocol import Accepted, GenerateRequest, Step, TokenStream
from pyserve.errors import CancelledError, DeadlineExceededError
from tests.native.helpers import GREEDY, ask, read, submit
from tests.support.tiny.llama import write_tiny_llama

LONG = 16384


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[LocalEngine]:
    """One request at a time."""
    path = write_tiny_llama(tmp_path / "long.gguf", n_ctx=LONG)
    config = EngineConfig(model_id="long", model_path=str(path), n_ctx=LONG, n_seq_max=1)
    engine = LocalEngine(config)
    yield engine
    engine.close()


@pytest.fixture
def narrow_core(tmp_path: Path) -> Iterator[NativeCore]:
    """One request at a time, and events in the order in which they happen."""
    path = write_tiny_llama(tmp_path / "long.gguf", n_ctx=LONG)
    config = EngineConfig(model_id="long", model_path=str(path), n_ctx=LONG, n_seq_max=1)
    core = NativeCore(config)
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


def occupy(engine: LocalEngine) -> TokenStream:
    """A request that runs until it is cancelled."""
    stream = submit(engine, "a", max_tokens=None)
    assert stream.get(30) is not None
    return stream


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
    config = EngineConfig(
        model_id="long", model_path=str(path), n_ctx=LONG, n_batch=LONG, n_seq_max=2
    )
    engine = LocalEngine(config)
    prompt = [65 + i % 50 for i in range(16000)]
    whole = ask(engine, prompt, max_tokens=1, cache_salt="whole").finish
    stream = submit(engine, prompt, max_tokens=1)
    assert stream.wait_accepted(30)
    time.sleep(whole.timings.prompt_ms / 1000 / 4)
    stream.cancel()
    with pytest.raises(CancelledError):
        list(stream)
    stats = engine.stats()
    assert stats.n_prompt_tokens == whole.usage.n_prompt_tokens
    assert ask(engine, prompt[:100], max_tokens=5).finish.reason == "length"
    engine.close()


def test_times_between_tokens_and_the_cells_in_use_are_counted(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf")
    engine = LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), n_seq_max=2))
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
    stream = submit(engine, prompt, max_tokens=100)
    next(iter(stream))
    assert engine.stats().n_kv_held >= len(prompt)
    stream.cancel()
    engine.close()
