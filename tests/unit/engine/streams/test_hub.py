from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pyserve.engine.protocol import GenerateRequest
from pyserve.engine.streams.hub import StreamEngine
from pyserve.engine.streams.merge import merge
from pyserve.engine.streams.stream import MAX_QUEUED_CHARS, MAX_QUEUED_DELTAS, RequestStream
from pyserve.errors import (
    CancelledError,
    ContextLengthExceededError,
    EngineRestartedError,
    InternalError,
    QueueFullError,
    UnavailableError,
)
from tests.support.limits import SOON_S
from tests.support.scripted_core import ScriptedCore, accepted, failed, finished, step

REQUEST = GenerateRequest(prompt="hello")


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore(n_requests_max=3)


@pytest.fixture
def engine(core: ScriptedCore) -> Iterator[StreamEngine]:
    engine = StreamEngine(core)
    yield engine
    engine.close()


def submit(engine: StreamEngine) -> RequestStream:
    stream = engine.submit(REQUEST)
    assert isinstance(stream, RequestStream)
    return stream


def test_deltas_arrive_in_order_and_end_with_finish(core, engine):
    stream = submit(engine)
    core.push(accepted(stream.request_id, 7), step(stream.request_id, "a"))
    core.push(step(stream.request_id, "b"), finished(stream.request_id, "c"))
    deltas = list(stream)
    assert [delta.text for delta in deltas] == ["a", "b", "c"]
    assert deltas[-1].finish is not None
    assert stream.n_prompt_tokens == 7


def test_events_of_two_requests_do_not_mix(core, engine):
    one, two = submit(engine), submit(engine)
    core.push(step(two.request_id, "2"), step(one.request_id, "1"))
    core.push(finished(one.request_id), finished(two.request_id))
    assert [delta.text for delta in one] == ["1", ""]
    assert [delta.text for delta in two] == ["2", ""]


def test_get_without_output_returns_none_when_the_time_is_over(engine):
    assert submit(engine).get(timeout_s=0) is None


def test_reading_past_the_end_is_refused_instead_of_waiting_for_ever(core, engine):
    stream = submit(engine)
    core.push(finished(stream.request_id))
    list(stream)
    with pytest.raises(RuntimeError, match="to its end"):
        stream.get()


def test_wait_accepted_tells_timeout_success_and_failure_apart(core, engine):
    waiting, good, bad = submit(engine), submit(engine), submit(engine)
    too_long = ContextLengthExceededError("too long", n_prompt_tokens=9, n_ctx=8)
    core.push(accepted(good.request_id), failed(bad.request_id, too_long))
    assert waiting.wait_accepted(0) is False
    assert good.wait_accepted(SOON_S) is True
    with pytest.raises(ContextLengthExceededError) as caught:
        bad.wait_accepted(SOON_S)
    assert caught.value.details == {"n_prompt_tokens": 9, "n_ctx": 8}


def test_deltas_before_a_failure_are_read_first(core, engine):
    stream = submit(engine)
    core.push(step(stream.request_id, "a"), failed(stream.request_id, InternalError("nan")))
    assert stream.get(SOON_S).text == "a"
    with pytest.raises(InternalError, match="nan"):
        stream.get(SOON_S)


def test_a_refused_request_raises_in_submit(engine):
    for _ in range(3):
        submit(engine)
    with pytest.raises(QueueFullError):
        submit(engine)


def test_cancel_reaches_the_core_and_ends_the_stream(core, engine):
    stream = submit(engine)
    stream.cancel()
    with pytest.raises(CancelledError):
        stream.get(SOON_S)
    stream.cancel()
    assert core.cancelled == [stream.request_id]


def test_a_reader_that_lets_too_many_deltas_wait_is_told_and_cancelled(core, engine):
    stream, other = submit(engine), submit(engine)
    core.push(*(step(stream.request_id, "x") for _ in range(MAX_QUEUED_DELTAS + 1)))
    core.push(finished(other.request_id))
    list(other)
    with pytest.raises(UnavailableError, match="slow"):
        stream.get(SOON_S)
    assert core.cancelled == [stream.request_id]


def test_too_much_waiting_text_is_an_overflow_too(core, engine):
    stream, other = submit(engine), submit(engine)
    half = "x" * (MAX_QUEUED_CHARS // 2)
    core.push(step(stream.request_id, half), step(stream.request_id, half))
    core.push(step(stream.request_id, "x"), finished(other.request_id))
    list(other)
    with pytest.raises(UnavailableError, match="slow"):
        stream.get(SOON_S)


def test_close_cancels_all_streams_and_refuses_new_ones(core, engine):
    stream = submit(engine)
    engine.close()
    with pytest.raises(CancelledError):
        stream.get(SOON_S)
    with pytest.raises(UnavailableError):
        submit(engine)
    assert core.is_closed
    engine.close()


@pytest.mark.parametrize(
    ("crash", "expected"),
    [(ValueError("bug"), EngineRestartedError), (InternalError("bug"), InternalError)],
)
def test_a_failing_poll_ends_every_stream(core, engine, crash, expected):
    streams = [submit(engine), submit(engine)]
    core.crash(crash)
    for stream in streams:
        with pytest.raises(expected, match="bug"):
            stream.get(SOON_S)
    with pytest.raises(expected):
        submit(engine)


def test_many_reader_threads_each_get_their_own_text():
    core = ScriptedCore()
    engine = StreamEngine(core)
    streams = [submit(engine) for _ in range(8)]
    texts: dict[int, str] = {}

    def read(stream: RequestStream) -> None:
        texts[stream.request_id] = "".join(delta.text for delta in stream)

    readers = [threading.Thread(target=read, args=(stream,)) for stream in streams]
    for reader in readers:
        reader.start()
    for part in range(20):
        core.push(*(step(s.request_id, f"{s.request_id}.{part} ") for s in streams))
    core.push(*(finished(stream.request_id) for stream in streams))
    for reader in readers:
        reader.join(SOON_S)
    engine.close()
    assert texts == {
        stream.request_id: "".join(f"{stream.request_id}.{part} " for part in range(20))
        for stream in streams
    }


def test_merge_takes_turns_and_ends_when_all_streams_are_finished(core, engine):
    one, two = submit(engine), submit(engine)
    core.push(step(one.request_id, "a"), step(one.request_id, "b"), finished(one.request_id, "c"))
    core.push(step(two.request_id, "A"), finished(two.request_id, "B"))
    one.wait_accepted(SOON_S), two.wait_accepted(SOON_S)
    merged = [item for item in merge([one, two], SOON_S) if item is not None]
    assert [(index, delta.text) for index, delta in merged] == [
        (0, "a"), (1, "A"), (0, "b"), (1, "B"), (0, "c"),
    ]  # fmt: skip


def test_merge_yields_none_while_nothing_comes(core, engine):
    stream = submit(engine)
    merged = merge([stream], timeout_s=0)
    assert next(merged) is None
    core.push(finished(stream.request_id, "late"))
    assert [item[1].text for item in merged if item is not None] == ["late"]


def test_merge_raises_the_first_error_and_leaves_the_others_running(core, engine):
    bad, good = submit(engine), submit(engine)
    core.push(failed(bad.request_id, InternalError("nan")))
    with pytest.raises(InternalError, match="nan"):
        list(merge([bad, good], SOON_S))
    core.push(finished(good.request_id, "fine"))
    assert good.get(SOON_S).text == "fine"


def test_merge_misses_nothing_that_comes_while_it_waits():
    core = ScriptedCore()
    engine = StreamEngine(core)
    streams = [submit(engine) for _ in range(4)]

    def feed() -> None:
        for part in range(200):
            core.push(
                *(step(s.request_id, f"{part} ") for s in streams if (part + s.request_id) % 3)
            )
        core.push(*(finished(stream.request_id) for stream in streams))

    feeder = threading.Thread(target=feed)
    feeder.start()
    texts = [""] * len(streams)
    for item in merge(streams, SOON_S):
        assert item is not None
        texts[item[0]] += item[1].text
    feeder.join(SOON_S)
    engine.close()
    for text, stream in zip(texts, streams, strict=True):
        assert text == "".join(f"{p} " for p in range(200) if (p + stream.request_id) % 3)


def test_merge_of_nothing_is_empty():
    assert list(merge([], 1.0)) == []


def test_merge_takes_further_streams_after_each_end(core, engine):
    one, two, three = (engine.submit(GenerateRequest(prompt="x")) for _ in range(3))
    later = [[two], [three], [], []]
    for request_id in (1, 2, 3):
        core.push(finished(request_id, f"t{request_id}"))
    merged = [item for item in merge([one], SOON_S, lambda: later.pop(0)) if item is not None]
    assert [(index, delta.text) for index, delta in merged] == [(0, "t1"), (1, "t2"), (2, "t3")]
    assert later == [[]]
