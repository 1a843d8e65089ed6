"""Where answers of the native engine end, and which tokens they may have."""

from __future__ import annotations

import msgspec
import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from pyserve.errors import DeadlineExceededError, InvalidRequestError
from tests.native.helpers import Answer, ask
from tests.support.tiny.llama import IM_END

PROMPT = "the cat jumped out of the window"
ENDS_AT_ONCE = SamplingParams(temperature=0.0, logit_bias={IM_END: 100.0})
OBJECT = r'root ::= "{" [a-z]+ "," [a-z]+ "}" [ ]?'


def tokens_of(answer: Answer) -> list[int]:
    return [token for delta in answer.deltas for token in delta.tokens]


def test_a_stop_token_ends_the_answer_before_it(engine: LocalEngine) -> None:
    full = tokens_of(ask(engine, PROMPT))
    stop = full[5]
    at = full.index(stop)
    answer = ask(engine, PROMPT, stop_token_ids=[3, stop])
    assert tokens_of(answer) == full[: at + 1]
    assert answer.text == engine.detokenize(full[:at])
    assert (answer.finish.reason, answer.finish.stop_token) == ("stop", stop)
    assert answer.finish.stop_reason == stop
    shown = ask(engine, PROMPT, stop_token_ids=[stop], shows_stop=True, n_logprobs=0)
    assert shown.text == engine.detokenize(full[: at + 1])
    assert len(shown.logprobs) == at + 1


def test_a_stop_string_can_be_shown(engine: LocalEngine) -> None:
    full = ask(engine, PROMPT).text
    stop = full[4:6]
    answer = ask(engine, PROMPT, stop=[stop], shows_stop=True)
    assert answer.text == full[: full.index(stop) + 2]
    assert answer.finish.stop_reason == stop


def test_nothing_ends_an_answer_before_min_tokens(engine: LocalEngine) -> None:
    assert len(tokens_of(ask(engine, PROMPT, sampling=ENDS_AT_ONCE))) == 1
    answer = ask(engine, PROMPT, sampling=ENDS_AT_ONCE, min_tokens=7)
    assert len(tokens_of(answer)) == 8
    assert answer.finish.reason == "stop"
    full = tokens_of(ask(engine, PROMPT))
    stopped = ask(engine, PROMPT, stop_token_ids=[full[0]], min_tokens=4)
    assert full[0] not in tokens_of(stopped)[:4]
    text = ask(engine, PROMPT, max_tokens=12).text
    late = ask(engine, PROMPT, max_tokens=12, stop=[text[0]], min_tokens=12)
    assert (late.text, late.finish.reason) == (text, "length")


def test_only_allowed_tokens_are_said(engine: LocalEngine) -> None:
    allowed = [ord("a"), ord("b"), ord("c")]
    sampling = SamplingParams(temperature=1.0, seed=1, allowed_token_ids=allowed)
    answer = ask(engine, PROMPT, sampling=sampling, n_logprobs=2)
    assert set(tokens_of(answer)) <= set(allowed)
    assert len(tokens_of(answer)) == 24
    # What the model itself thought of them.
    assert all(item.logprob <= item.top[0].logprob for item in answer.logprobs)
    chain = SamplingParams(temperature=1.0, seed=1, typical_p=0.9, allowed_token_ids=allowed)
    assert set(tokens_of(ask(engine, PROMPT, sampling=chain))) <= set(allowed)


def test_bad_words_are_never_said(engine: LocalEngine) -> None:
    letters = {ord(letter): 30.0 for letter in "ab"}
    wanted = SamplingParams(temperature=1.0, seed=3, ignore_eos=True, logit_bias=letters)
    assert "ab" in ask(engine, PROMPT, sampling=wanted).text
    for words in (["ab"], ["b"], ["aa", "ab"]):
        sampling = msgspec.structs.replace(wanted, bad_words=words)
        answer = ask(engine, PROMPT, sampling=sampling)
        assert len(tokens_of(answer)) == 24
        assert not any(word in answer.text for word in words)


def test_tokens_that_leave_nothing_to_say_fail_the_request_alone(engine: LocalEngine) -> None:
    sampling = SamplingParams(temperature=0.0, allowed_token_ids=[ord("!")])
    with pytest.raises(InvalidRequestError, match="allowed_token_ids") as caught:
        ask(engine, PROMPT, sampling=sampling, grammar='root ::= "a"+')
    assert caught.value.param == "allowed_token_ids"
    assert ask(engine, PROMPT).finish.reason == "length"


@pytest.mark.parametrize(
    "fields",
    [{"stop_token_ids": [320]}, {"sampling": SamplingParams(allowed_token_ids=[320])}],
)
def test_tokens_that_the_model_does_not_have_are_refused(
    engine: LocalEngine, fields: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequestError, match="vocabulary of 320"):
        ask(engine, PROMPT, **fields)


@pytest.mark.parametrize("stop", [",", "}", "{"])
def test_a_stop_string_never_cuts_what_a_grammar_holds(engine: LocalEngine, stop: str) -> None:
    sampling = SamplingParams(temperature=0.0, logit_bias={ord(","): 5.0, ord("}"): 5.0})
    fields = {"grammar": OBJECT, "sampling": sampling, "max_tokens": 60}
    whole = ask(engine, PROMPT, **fields)
    assert whole.text.strip().endswith("}")
    answer = ask(engine, PROMPT, stop=[stop], **fields)
    assert answer.text.strip() == whole.text.strip()
    assert answer.finish.reason == "stop"


def test_a_stop_string_after_a_whole_answer_ends_it(engine: LocalEngine) -> None:
    grammar = 'root ::= "{" [a-z]+ "}" " "+'
    text = 'root ::= [a-z ]* ("<" [a-z ]+ ">")?'
    spaces = SamplingParams(temperature=0.0, logit_bias={ord(" "): 50.0, ord("}"): 20.0})
    answer = ask(engine, PROMPT, grammar=grammar, sampling=spaces, stop=["   "], max_tokens=40)
    assert answer.text.endswith("} ")
    assert answer.finish.stop_string == "   "
    free = SamplingParams(temperature=0.0, logit_bias={ord("b"): 50.0})
    answer = ask(engine, PROMPT, grammar=text, sampling=free, stop=["bbb"])
    assert (answer.text, answer.finish.stop_string) == ("", "bbb")


def test_a_stop_token_in_a_grammar_waits_until_it_may_end(engine: LocalEngine) -> None:
    grammar = 'root ::= "b" "b" "b" [b]*'
    sampling = SamplingParams(temperature=0.0, logit_bias={IM_END: -100.0})
    answer = ask(engine, PROMPT, grammar=grammar, sampling=sampling, stop_token_ids=[ord("b")])
    assert answer.text == "bbb"
    assert answer.finish.stop_token == ord("b")


@pytest.mark.parametrize("deterministic", [False, True])
def test_time_ends_an_answer_where_it_is(engine: LocalEngine, deterministic: bool) -> None:
    fields = {"max_tokens": 240, "deterministic": deterministic}
    answer = ask(engine, PROMPT, max_decode_ms=0.01, **fields)
    assert answer.finish.reason == "length"
    assert 1 <= len(tokens_of(answer)) < 240
    assert answer.finish.usage.n_completion_tokens == len(tokens_of(answer))


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_request_without_an_answer_in_time_fails(
    engine: LocalEngine, deterministic: bool
) -> None:
    with pytest.raises(DeadlineExceededError, match="had no answer"):
        ask(engine, PROMPT, max_total_ms=1e-6, deterministic=deterministic)
    assert ask(engine, PROMPT).finish.reason == "length"
