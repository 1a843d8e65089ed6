"""Many requests at once: batches, queue, cancel, full cache, stop."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.errors import (
    CancelledError,
    InvalidRequestError,
    QueueFullError,
    UnavailableError,
)
from tests.native.helpers import ask, assert_same_up_to_ties, read, submit
from tests.support.endless import ENDLESS, occupy, submit_endless

PROMPTS = [f"{'the cat ' * (i % 5)} number {i} said" for i in range(16)]


def _engine(path: Path, **fields: int) -> LocalEngine:
    return LocalEngine(EngineConfig(model_id="tiny", model_path=str(path), **fields))


def _roomy(path: Path, **fields: int) -> LocalEngine:
    """An engine whose requests end by nothing but their cancel."""
    return _engine(path, n_ctx=ENDLESS, n_kv=ENDLESS, **fields)


def _wait_idle(engine: LocalEngine) -> None:
    """Until the engine has nothing to do; the timeout of the test is the limit."""
    pause = threading.Event()
    while engine.stats().n_running or engine.stats().n_waiting:
        pause.wait(0.01)


def test_requests_in_one_batch_answer_as_they_do_alone(tiny_model: Path) -> None:
    alone = _engine(tiny_model)
    expected = [ask(alone, prompt, n_logprobs=2) for prompt in PROMPTS]
    alone.close()
    together = _engine(tiny_model, n_kv=2048, n_batch=64)
    streams = [submit(together, prompt, n_logprobs=2) for prompt in PROMPTS]
    for one, stream in zip(expected, streams, strict=True):
        assert_same_up_to_ties(one, read(stream))
    assert together.stats().n_steps < sum(24 + 1 for _ in PROMPTS)
    together.close()


def test_an_engine_without_work_is_not_stalled(tiny_model: Path) -> None:
    engine, pause = _engine(tiny_model), threading.Event()
    ask(engine, "the cat")
    while engine.stats().stalled_ms:
        pause.wait(0.01)
    pause.wait(0.05)
    assert engine.stats().stalled_ms == 0
    engine.close()


def test_a_prompt_is_computed_in_chunks(tiny_model: Path) -> None:
    # Drafts depend on times, and with them how many steps an answer takes.
    chunked = _engine(tiny_model, n_batch=32, n_draft_max=0)
    whole = _engine(tiny_model, n_draft_max=0)
    prompt = [65 + i % 26 for i in range(100)]
    assert_same_up_to_ties(ask(whole, prompt, n_logprobs=2), ask(chunked, prompt, n_logprobs=2))
    assert chunked.stats().n_steps == whole.stats().n_steps + 3
    chunked.close()
    whole.close()


def test_a_full_cache_preempts_and_loses_nothing(tiny_model: Path) -> None:
    roomy = _engine(tiny_model, n_kv=4096)
    prompts = [[65 + i] * 40 for i in range(6)]
    expected = [ask(roomy, prompt, max_tokens=150, n_logprobs=2) for prompt in prompts]
    roomy.close()
    tight = _engine(tiny_model, n_kv=256)
    streams = [submit(tight, prompt, max_tokens=150, n_logprobs=2) for prompt in prompts]
    for one, stream in zip(expected, streams, strict=True):
        assert_same_up_to_ties(one, read(stream))
    assert tight.stats().n_preempted > 0
    assert tight.stats().n_finished == len(prompts)
    tight.close()


def test_more_requests_than_sequences_wait_their_turn(tiny_model: Path) -> None:
    engine = _engine(tiny_model, n_seq_max=2, n_kv=512)
    streams = [submit(engine, prompt) for prompt in PROMPTS[:8]]
    assert all(read(stream).finish.reason == "length" for stream in streams)
    engine.close()


def test_a_full_queue_refuses_at_once_and_recovers(tiny_model: Path) -> None:
    engine = _roomy(tiny_model, n_seq_max=1, n_queue_max=1)
    streams = [occupy(engine, "a"), submit_endless(engine, "a")]
    with pytest.raises(QueueFullError, match="2 places"):
        submit(engine, "a")
    for stream in streams:
        stream.cancel()
    _wait_idle(engine)
    assert read(submit(engine, "a")).finish.reason == "length"
    engine.close()


def test_cancel_works_while_running_and_while_waiting(tiny_model: Path) -> None:
    engine = _roomy(tiny_model, n_seq_max=1)
    running, waiting = occupy(engine, "a"), submit_endless(engine, "b")
    for stream in (waiting, running):
        stream.cancel()
        with pytest.raises(CancelledError):
            list(stream)
        stream.cancel()
    _wait_idle(engine)
    assert engine.stats().n_cancelled == 2
    assert ask(engine, "a").finish.reason == "length"
    engine.close()


def test_close_ends_every_request(tiny_model: Path) -> None:
    engine = _roomy(tiny_model, n_seq_max=2)
    streams = [submit_endless(engine, prompt) for prompt in PROMPTS[:6]]
    engine.close()
    for stream in streams:
        with pytest.raises(CancelledError):
            list(stream)
    engine.close()
    with pytest.raises(UnavailableError):
        submit(engine, "a")


def test_threads_that_submit_and_cancel_at_random_leave_nothing(tiny_model: Path) -> None:
    engine = _engine(tiny_model, n_seq_max=4, n_kv=512, n_queue_max=256)

    def client(number: int) -> None:
        for i in range(10):
            stream = submit(engine, PROMPTS[(number + i) % 16], max_tokens=10)
            if i % 3 == number % 3:
                stream.get(30)
                stream.cancel()
            else:
                assert read(stream).finish.usage.n_completion_tokens == 10

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _wait_idle(engine)
    stats = engine.stats()
    assert stats.n_failed == 0
    assert stats.n_finished + stats.n_cancelled == 80
    engine.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [("n_batch", 0), ("n_seq_max", 0), ("n_seq_max", 129), ("n_threads", 0), ("n_ctx", -1)],
)
def test_settings_outside_the_limits_are_refused(tiny_model: Path, field: str, value: int) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        _engine(tiny_model, **{field: value})


def test_the_smallest_settings_work(tiny_model: Path) -> None:
    engine = _engine(tiny_model, n_batch=1, n_seq_max=1, n_queue_max=0, n_ctx=16)
    assert ask(engine, "hello", max_tokens=None).finish.reason == "length"
    engine.close()
