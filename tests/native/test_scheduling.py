"""Who runs when: priorities, deadlines, tenants, and cancelling a long prompt."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.local import LocalEngine
from pyserve.engine.protocol import TokenStream
from pyserve.errors import CancelledError, DeadlineExceededError
from tests.native.helpers import ask, read, submit
from tests.support.tiny_gguf import write_tiny_llama


@pytest.fixture
def narrow(tiny_model: Path) -> LocalEngine:
    """One request at a time."""
    config = EngineConfig(model_id="tiny", model_path=str(tiny_model), n_seq_max=1)
    return LocalEngine(config)


def order_of_ends(streams: dict[str, TokenStream]) -> list[str]:
    ends: list[str] = []

    def wait(name: str) -> None:
        read(streams[name])
        ends.append(name)

    threads = [threading.Thread(target=wait, args=(name,)) for name in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def occupy(engine: LocalEngine) -> TokenStream:
    """A request that runs until it is cancelled."""
    stream = submit(engine, "a", max_tokens=None)
    assert stream.get(30) is not None
    return stream


def test_higher_priorities_start_first(narrow: LocalEngine) -> None:
    first = occupy(narrow)
    streams = {
        name: submit(narrow, f"the cat {name}", priority=priority, max_tokens=30)
        for name, priority in {"low": -5, "normal": 0, "high": 5}.items()
    }
    for stream in streams.values():
        assert stream.wait_accepted(30)
    while narrow.stats().n_waiting < 3:
        pass
    first.cancel()
    assert order_of_ends(streams) == ["high", "normal", "low"]
    narrow.close()


def test_a_tenant_that_sends_much_does_not_delay_another(narrow: LocalEngine) -> None:
    first = occupy(narrow)
    streams = {
        f"many{i}": submit(narrow, f"the cat {i}", tenant="many", max_tokens=60) for i in range(6)
    }
    streams["few"] = submit(narrow, "the cat of the other", tenant="few", max_tokens=60)
    while narrow.stats().n_waiting < 7:
        pass
    first.cancel()
    assert order_of_ends(streams).index("few") <= 1
    narrow.close()


def test_a_deadline_ends_the_wait_and_nothing_else(narrow: LocalEngine) -> None:
    first = occupy(narrow)
    late = submit(narrow, "b", deadline_ms=20.0)
    with pytest.raises(DeadlineExceededError, match="its deadline was 20 ms") as caught:
        list(late)
    assert caught.value.details["waited_ms"] >= 20
    in_time = submit(narrow, "c", deadline_ms=60_000.0)
    first.cancel()
    assert read(in_time).finish.reason == "length"
    narrow.close()


def test_a_cancelled_prompt_stops_inside_its_step(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "long.gguf", n_ctx=16384)
    config = EngineConfig(
        model_id="long", model_path=str(path), n_ctx=16384, n_batch=16384, n_seq_max=2
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
