"""What one request gets from the native engine."""

from __future__ import annotations

import math

import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, SamplingParams
from pyserve.errors import ContextLengthExceededError, InvalidRequestError
from tests.native.helpers import GREEDY, ask, assert_same_up_to_ties, read, submit
from tests.support.tiny.llama import END_OF_TEXT, IM_END

PROMPT = "the cat jumped out of the window"


def test_greedy_is_reproducible_and_counts_tokens(engine: LocalEngine) -> None:
    one, two = ask(engine, PROMPT), ask(engine, PROMPT)
    assert one.text == two.text != ""
    assert one.finish.reason == "length"
    assert one.finish.usage.n_completion_tokens == 24
    assert one.finish.usage.n_prompt_tokens == len(
        engine.tokenize(PROMPT, add_special=False, parse_special=False)
    )
    assert sum(delta.n_tokens for delta in one.deltas) == 24


def test_a_cached_prefix_is_reported_and_changes_nothing(engine: LocalEngine) -> None:
    cold = ask(engine, PROMPT, n_logprobs=2)
    n_prompt = cold.finish.usage.n_prompt_tokens
    warm = ask(engine, PROMPT, n_logprobs=2)
    assert cold.finish.usage.n_cached_tokens == 0
    assert warm.finish.usage.n_cached_tokens == n_prompt - 1
    assert_same_up_to_ties(cold, warm)
    longer = ask(engine, PROMPT + " far away")
    assert 0 < longer.finish.usage.n_cached_tokens <= n_prompt


def test_prefixes_are_not_shared_between_tenants(engine: LocalEngine) -> None:
    ask(engine, PROMPT, tenant="alice")
    assert ask(engine, PROMPT, tenant="bob").finish.usage.n_cached_tokens == 0
    assert ask(engine, PROMPT, tenant="alice").finish.usage.n_cached_tokens > 0


def test_a_seed_repeats_a_draw_and_another_seed_does_not(engine: LocalEngine) -> None:
    def draw(seed: int) -> str:
        sampling = SamplingParams(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=seed)
        return ask(engine, PROMPT, sampling=sampling).text

    assert draw(7) == draw(7)
    assert len({draw(seed) for seed in range(5)}) > 1


def test_top_k_one_is_greedy(engine: LocalEngine) -> None:
    sampling = SamplingParams(temperature=2.0, top_k=1, ignore_eos=True)
    assert ask(engine, PROMPT, sampling=sampling).text == ask(engine, PROMPT).text


@pytest.mark.parametrize("n_chars", [1, 2, 5])
def test_a_stop_string_ends_the_text_before_it(engine: LocalEngine, n_chars: int) -> None:
    full = ask(engine, PROMPT).text
    stop = full[4 : 4 + n_chars]
    answer = ask(engine, PROMPT, stop=["never there", stop])
    assert answer.text == full[: full.index(stop)]
    assert answer.finish.reason == "stop"
    assert answer.finish.stop_string == stop


def test_text_is_valid_and_equals_the_pieces(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, n_logprobs=0, max_tokens=200)
    pieces = b"".join(i.piece for i in answer.logprobs if i.token < END_OF_TEXT or i.token > IM_END)
    text = pieces.decode("utf-8", "replace")
    # An unfinished character at the very end is left out.
    assert answer.text in {text, text.removesuffix("\ufffd")}


def test_logprobs_are_a_distribution_in_order(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, n_logprobs=320, max_tokens=5)
    assert len(answer.logprobs) == 5
    for item in answer.logprobs:
        assert len(item.top) == 320
        assert sum(math.exp(top.logprob) for top in item.top) == pytest.approx(1.0, abs=1e-4)
        assert item.token == item.top[0].token
        assert item.logprob == item.top[0].logprob
        values = [top.logprob for top in item.top]
        assert values == sorted(values, reverse=True)


def test_logprobs_do_not_depend_on_temperature(engine: LocalEngine) -> None:
    hot = SamplingParams(temperature=2.0, top_k=1, ignore_eos=True)
    one = ask(engine, PROMPT, n_logprobs=3, max_tokens=4)
    two = ask(engine, PROMPT, n_logprobs=3, max_tokens=4, sampling=hot)
    for cold, warm in zip(one.logprobs, two.logprobs, strict=True):
        assert [t.token for t in warm.top] == [t.token for t in cold.top]
        assert warm.logprob == pytest.approx(cold.logprob, abs=1e-3)


def test_logit_bias_forces_and_bans_a_token(engine: LocalEngine) -> None:
    first = ask(engine, PROMPT, n_logprobs=1, max_tokens=1).logprobs[0].token
    forced = SamplingParams(temperature=0.0, logit_bias={65: 100.0}, ignore_eos=True)
    banned = SamplingParams(temperature=0.0, logit_bias={first: -100.0}, ignore_eos=True)
    assert ask(engine, PROMPT, sampling=forced, max_tokens=3).text == "AAA"
    other = ask(engine, PROMPT, sampling=banned, n_logprobs=0, max_tokens=1)
    assert other.logprobs[0].token != first


def test_penalties_change_a_repetitive_answer(engine: LocalEngine) -> None:
    plain = ask(engine, PROMPT, max_tokens=60, n_logprobs=0)
    for field in ("frequency_penalty", "presence_penalty"):
        sampling = SamplingParams(temperature=0.0, ignore_eos=True, **{field: 2.0})
        penalized = ask(engine, PROMPT, max_tokens=60, n_logprobs=0, sampling=sampling)
        assert len({i.token for i in penalized.logprobs}) > len({i.token for i in plain.logprobs})


def test_presence_penalty_ignores_the_prompt_and_repeat_penalty_does_not(
    engine: LocalEngine,
) -> None:
    first = ask(engine, PROMPT, n_logprobs=0, max_tokens=1).logprobs[0].token
    prompt = [first] * 20

    def next_token(**fields: float) -> int:
        sampling = SamplingParams(temperature=0.0, ignore_eos=True, **fields)
        return ask(engine, prompt, sampling=sampling, n_logprobs=0, max_tokens=1).logprobs[0].token

    biased = SamplingParams(temperature=0.0, logit_bias={first: 0.0}, ignore_eos=True)
    plain = ask(engine, prompt, sampling=biased, n_logprobs=0, max_tokens=1).logprobs[0].token
    assert next_token(presence_penalty=2.0) == plain
    assert next_token(frequency_penalty=2.0) == plain


def test_the_end_token_ends_the_answer_unless_ignored(engine: LocalEngine) -> None:
    end = engine.tokenize("<|im_end|>", add_special=False, parse_special=True)
    assert len(end) == 1
    sampling = SamplingParams(temperature=0.0, logit_bias={end[0]: 100.0})
    answer = ask(engine, PROMPT, sampling=sampling, n_logprobs=0)
    assert (answer.text, answer.finish.reason) == ("", "stop")
    assert answer.finish.usage.n_completion_tokens == 1
    assert answer.logprobs == []
    goes_on = SamplingParams(temperature=0.0, logit_bias={end[0]: 100.0}, ignore_eos=True)
    assert ask(engine, PROMPT, sampling=goes_on).finish.reason == "length"


def test_the_context_ends_an_answer_without_a_limit(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, max_tokens=None)
    usage = answer.finish.usage
    assert answer.finish.reason == "length"
    assert usage.n_prompt_tokens + usage.n_completion_tokens == 256


@pytest.mark.parametrize(
    ("n_prompt", "fits"), [(254, True), (255, True), (256, False), (300, False)]
)
def test_a_prompt_leaves_room_for_one_token(engine: LocalEngine, n_prompt: int, fits: bool) -> None:
    if fits:
        answer = ask(engine, [65] * n_prompt, max_tokens=None)
        assert answer.finish.usage.n_completion_tokens == 256 - n_prompt
        return
    with pytest.raises(ContextLengthExceededError) as caught:
        ask(engine, [65] * n_prompt)
    assert caught.value.details == {"n_prompt_tokens": n_prompt, "n_ctx": 256}


def test_token_ids_outside_the_vocabulary_are_refused(engine: LocalEngine) -> None:
    for tokens in ([-1], [320], [1, 2**31 - 1]):
        with pytest.raises(InvalidRequestError, match="vocabulary of 320"):
            ask(engine, tokens)
    bias = SamplingParams(logit_bias={320: 1.0})
    with pytest.raises(InvalidRequestError, match="320"):
        ask(engine, PROMPT, sampling=bias)


def test_banning_every_token_fails_the_request_alone(engine: LocalEngine) -> None:
    neighbour = submit(engine, PROMPT, max_tokens=100)
    ban_all = SamplingParams(logit_bias=dict.fromkeys(range(320), -math.inf))
    with pytest.raises(Exception, match="every token is banned"):
        ask(engine, PROMPT, sampling=ban_all)
    assert read(neighbour).finish.reason == "length"


def test_an_empty_text_still_generates(engine: LocalEngine) -> None:
    assert ask(engine, "").finish.usage.n_prompt_tokens == 1


def test_a_request_without_a_prompt_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequestError, match="required"):
        engine.submit(GenerateRequest(sampling=GREEDY))
