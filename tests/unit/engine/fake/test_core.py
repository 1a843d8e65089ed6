from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.core import FakeCore
from pyserve.engine.fake.script import FakeScript
from pyserve.engine.protocol import Delta, GenerateRequest, Step
from pyserve.engine.streams.hub import StreamEngine
from pyserve.errors import (
    CancelledError,
    ContextLengthExceededError,
    DeadlineExceededError,
    InternalError,
    QueueFullError,
    UnavailableError,
)
from tests.support.limits import SOON_S

Make = Callable[..., tuple[FakeCore, StreamEngine]]


@pytest.fixture
def make() -> Iterator[Make]:
    engines = []

    def start(script: FakeScript | None = None, **config: Any) -> tuple[FakeCore, StreamEngine]:
        settings = EngineConfig(model_id="m", model_path="", **config)
        core = FakeCore(settings) if script is None else FakeCore(settings, script)
        engines.append(StreamEngine(core))
        return core, engines[-1]

    yield start
    for engine in engines:
        engine.close()


def run(engine: StreamEngine, prompt: str, **fields: Any) -> list[Delta]:
    return list(engine.submit(GenerateRequest(prompt=prompt, **fields)))


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def test_it_echoes_word_by_word(make):
    _, engine = make()
    deltas = run(engine, "one  two\nthree ")
    assert [delta.text for delta in deltas] == ["one", "  two", "\nthree", " "]
    finish = deltas[-1].finish
    assert finish is not None
    assert (finish.reason, finish.usage.n_prompt_tokens, finish.usage.n_completion_tokens) == (
        "stop",
        5,
        4,
    )


def test_it_takes_scripted_texts_in_turn(make):
    _, engine = make(FakeScript(texts=("a b", "c")))
    assert [text(run(engine, "x")) for _ in range(3)] == ["a b", "c", "a b"]


@pytest.mark.parametrize(
    ("max_tokens", "answer", "reason"), [(2, "a b", "length"), (3, "a b c", "stop")]
)
def test_it_honours_max_tokens(make, max_tokens, answer, reason):
    _, engine = make()
    deltas = run(engine, "a b c", max_tokens=max_tokens)
    assert text(deltas) == answer
    assert deltas[-1].finish is not None
    assert deltas[-1].finish.reason == reason


@pytest.mark.parametrize(
    ("stop", "answer", "n_tokens"),
    [(["b c"], "a ", 3), (["z"], "a b c d", 4), (["a"], "", 1), (["d", "c"], "a b ", 3)],
)
def test_it_stops_before_the_first_stop_string(make, stop, answer, n_tokens):
    _, engine = make()
    deltas = run(engine, "a b c d", stop=stop)
    assert text(deltas) == answer
    assert sum(delta.n_tokens for delta in deltas) == n_tokens


def test_the_context_bounds_prompt_and_answer(make):
    _, engine = make(n_ctx=4)
    with pytest.raises(ContextLengthExceededError) as caught:
        run(engine, "a b c d")
    assert caught.value.details == {"n_prompt_tokens": 5, "n_ctx": 4}
    with pytest.raises(ContextLengthExceededError):
        run(engine, "a b c")
    deltas = run(engine, "a b")
    assert text(deltas) == "a"
    assert deltas[-1].finish is not None
    assert deltas[-1].finish.reason == "length"


def test_logprobs_are_descending_and_begin_with_the_sampled_token(make):
    _, engine = make()
    (delta,) = run(engine, "word", n_logprobs=3)
    assert delta.logprobs is not None
    (sampled,) = delta.logprobs
    assert sampled.piece == b"word"
    assert [best.logprob for best in sampled.top] == sorted(
        (best.logprob for best in sampled.top), reverse=True
    )
    assert (sampled.top[0].token, len(sampled.top)) == (sampled.token, 3)


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_prompt_logprobs_come_before_all_text_and_the_first_is_of_nothing(make, max_tokens):
    _, engine = make()
    deltas = run(engine, "a b c d e", n_prompt_logprobs=2, max_tokens=max_tokens)
    told = [delta.prompt_logprobs for delta in deltas]
    assert None not in told[:2]
    assert set(map(str, told[2:])) == {"None"}
    first, *rest = [token for part in told for token in part or []]
    assert (first.logprob, first.top) == (0.0, [])
    assert b"".join(token.piece for token in rest) == b"a b c d e"
    assert {len(token.top) for token in rest} == {2}
    assert deltas[-1].finish is not None
    assert (deltas[-1].finish.reason, text(deltas)) == ("length", "a"[:max_tokens])


def test_a_held_request_goes_on_when_released(make):
    core, engine = make(FakeScript(hold_after=1))
    stream = engine.submit(GenerateRequest(prompt="a b"))
    first = stream.get(SOON_S)
    assert first is not None
    assert first.text == "a"
    assert stream.get(0.01) is None
    core.release()
    assert text(list(stream)) == " b"


def test_a_cancelled_request_fails_once(make):
    core, engine = make(FakeScript(hold_after=1))
    stream = engine.submit(GenerateRequest(prompt="a b"))
    stream.get(SOON_S)
    stream.cancel()
    with pytest.raises(CancelledError):
        stream.get(SOON_S)
    stream.cancel()
    assert core.cancelled == [1]
    assert engine.stats().n_cancelled == 1
    assert engine.stats().n_running == 0


def test_more_than_the_queue_holds_is_refused(make):
    _, engine = make(FakeScript(hold_after=0), n_seq_max=1, n_queue_max=1)
    for _ in range(2):
        engine.submit(GenerateRequest(prompt="a"))
    with pytest.raises(QueueFullError):
        engine.submit(GenerateRequest(prompt="a"))
    assert (engine.stats().n_running, engine.stats().n_waiting) == (1, 1)


def test_a_waiting_request_is_accepted_and_runs_later(make):
    core, engine = make(FakeScript(hold_after=0), n_seq_max=1)
    first = engine.submit(GenerateRequest(prompt="a"))
    second = engine.submit(GenerateRequest(prompt="b"))
    assert second.wait_accepted(SOON_S)
    core.release()
    assert (text(list(first)), text(list(second))) == ("a", "b")


def test_of_those_that_wait_the_most_important_starts_first():
    core = FakeCore(EngineConfig(model_id="m", model_path="", n_seq_max=1))
    for request_id, priority in enumerate((0, -1, 0, 5, 0)):
        core.submit(request_id, GenerateRequest(prompt="word", priority=priority))
    order: list[int] = []
    while len(order) < len(core.requests):
        events = core.poll(SOON_S)
        order += [event.request_id for event in events if isinstance(event, Step)]
    assert order == [0, 3, 2, 4, 1]


def test_a_request_that_waits_past_its_deadline_fails_and_one_that_runs_does_not(make):
    core, engine = make(FakeScript(hold_after=0), n_seq_max=1)
    running = engine.submit(GenerateRequest(prompt="a", deadline_ms=1.0))
    waiting = engine.submit(GenerateRequest(prompt="b", deadline_ms=1.0))
    with pytest.raises(DeadlineExceededError) as caught:
        waiting.get(SOON_S)
    assert caught.value.details["deadline_ms"] == 1.0
    core.release()
    assert text(list(running)) == "a"


@pytest.mark.parametrize(("command", "n_words"), [("#fail=2", 2), ("#fail", 0)])
def test_a_prompt_can_make_it_fail(make, command, n_words):
    _, engine = make()
    stream = engine.submit(GenerateRequest(prompt=f"a b c {command}"))
    for _ in range(n_words):
        assert stream.get(SOON_S) is not None
    with pytest.raises(InternalError):
        stream.get(SOON_S)


def test_a_prompt_can_be_refused_or_answered_at_length(make):
    _, engine = make()
    with pytest.raises(InternalError):
        engine.submit(GenerateRequest(prompt="#refuse")).wait_accepted(SOON_S)
    assert len(text(run(engine, "a b #words=50")).split()) == 50


def test_without_commands_they_are_words(make):
    _, engine = make(FakeScript())
    assert text(run(engine, "#refuse #die")) == "#refuse #die"


def test_tokens_and_text_are_each_others_inverse(make):
    _, engine = make()
    tokens = engine.tokenize("a b a", add_special=True, parse_special=False)
    assert engine.detokenize(tokens) == "a b a"
    assert engine.pieces(tokens) == [b"", b"a", b" b", b" a"]
    assert text(list(engine.submit(GenerateRequest(tokens=tokens)))) == "a b a"


def test_a_closed_core_refuses(make):
    core, engine = make()
    engine.close()
    with pytest.raises(UnavailableError):
        core.submit(1, GenerateRequest(prompt="a"))
    with pytest.raises(UnavailableError):
        core.poll(0)
