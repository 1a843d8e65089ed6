"""Answers that go on after tokens which their client has already."""

from __future__ import annotations

import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, SamplingParams
from pyserve.errors import InvalidRequestError
from tests.native.helpers import GREEDY, Answer, ask

PROMPT = "this is a test of the cat"
SAMPLED = SamplingParams(temperature=1.2, seed=5, ignore_eos=True, repeat_penalty=1.1)


def tokens_of(answer: Answer) -> list[int]:
    return [token for delta in answer.deltas for token in delta.tokens]


def text_until(answer: Answer, n_tokens: int) -> str:
    """What was said when that many tokens were drawn."""
    text, n = "", 0
    for delta in answer.deltas:
        n += len(delta.tokens)
        if n > n_tokens:
            break
        text += delta.text
    return text


@pytest.mark.parametrize("n_said", [1, 5, 23])
@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "seeded"])
def test_the_rest_is_what_would_have_come(
    engine: LocalEngine, sampling: SamplingParams, n_said: int
) -> None:
    fields = {"sampling": sampling, "deterministic": True, "max_tokens": 24}
    whole = ask(engine, PROMPT, **fields)
    assert len(tokens_of(whole)) == 24
    rest = ask(engine, PROMPT, said=tokens_of(whole)[:n_said], **fields)
    assert tokens_of(rest) == tokens_of(whole)[n_said:]
    assert text_until(whole, n_said) + rest.text == whole.text
    assert rest.finish.reason == whole.finish.reason
    assert rest.finish.usage.n_prompt_tokens == whole.finish.usage.n_prompt_tokens
    assert rest.finish.usage.n_completion_tokens == 24


@pytest.mark.parametrize("n_said", range(1, 12))
def test_a_stop_string_is_found_across_the_seam(engine: LocalEngine, n_said: int) -> None:
    free = ask(engine, PROMPT, max_tokens=12, deterministic=True)
    stop = free.text[3:7]
    fields = {"max_tokens": 12, "deterministic": True, "stop": [stop]}
    whole = ask(engine, PROMPT, **fields)
    assert whole.finish.stop_string == stop
    said = tokens_of(whole)[:n_said]
    if n_said >= len(tokens_of(whole)):
        return
    rest = ask(engine, PROMPT, said=said, **fields)
    assert text_until(whole, n_said) + rest.text == whole.text
    assert rest.finish.stop_string == stop


def test_also_beside_others_in_the_batch(engine: LocalEngine) -> None:
    whole = ask(engine, PROMPT, n_draft_max=0)  # one token a delta
    rest = ask(engine, PROMPT, said=tokens_of(whole)[:10])
    assert text_until(whole, 10) + rest.text == whole.text


@pytest.mark.parametrize("said", [[-1], [10**6], [1] * 10_000])
def test_what_cannot_have_been_said_is_refused(engine: LocalEngine, said: list[int]) -> None:
    with pytest.raises(InvalidRequestError):
        list(engine.submit(GenerateRequest(prompt=PROMPT, said=said)))


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_begun_answer_whose_time_is_over_ends_as_cut_off(
    engine: LocalEngine, deterministic: bool
) -> None:
    whole = ask(engine, PROMPT, max_tokens=9, deterministic=True)
    said = tokens_of(whole)[:4]
    fields = {"max_total_ms": 1e-6, "deterministic": deterministic}
    rest = ask(engine, PROMPT, said=said, max_tokens=9, **fields)
    assert (rest.text, rest.finish.reason) == ("", "length")
    assert rest.finish.usage.n_completion_tokens == 4
