"""Drafts: what an answer probably is makes it faster and changes nothing."""

from __future__ import annotations

import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from tests.native.conftest import Start
from tests.native.helpers import Answer, ask, assert_same_up_to_ties, read, submit

PROMPT = "the cat"
# Letters are tokens of their own in the tiny vocabulary, so a text is its tokens.
LETTERS = {"grammar": "root ::= [a-z]{64}", "max_tokens": 100}


def plain(engine: LocalEngine, prompt: str = PROMPT, **fields: object) -> Answer:
    """Without a draft, unless one is given."""
    fields.setdefault("n_draft_max", None if "draft" in fields else 0)
    return ask(engine, prompt, n_logprobs=2, **{**LETTERS, **fields})


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_a_right_draft_takes_few_steps(start: Start, kind: str) -> None:
    engine = start(kind)
    expected = plain(engine)
    drafted = plain(engine, draft=expected.text)
    assert drafted.text == expected.text
    usage = drafted.finish.usage
    assert len(drafted.deltas) < len(expected.deltas) / 3
    assert usage.n_draft_accepted > usage.n_completion_tokens / 2
    assert usage.n_completion_tokens == expected.finish.usage.n_completion_tokens
    assert (expected.finish.usage.n_draft_accepted, expected.finish.usage.n_draft_rejected) == (
        0,
        0,
    )


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_what_the_prompt_says_is_drafted(start: Start, kind: str) -> None:
    engine = start(kind)
    expected = plain(engine)
    prompt = f"{expected.text} {PROMPT}"
    slow, fast = plain(engine, prompt), plain(engine, prompt, n_draft_max=15)
    assert_same_up_to_ties(slow, fast)
    assert len(slow.deltas) == slow.finish.usage.n_completion_tokens
    # It is no prediction of the client's.
    usage = fast.finish.usage
    assert (usage.n_draft_accepted, usage.n_draft_rejected) == (0, 0)


def test_an_answer_that_repeats_itself_takes_fewer_steps(start: Start) -> None:
    engine = start("llama")
    fields = {"grammar": 'root ::= ("abcd" | "aab" | "efgh")*', "max_tokens": 120}
    slow, fast = plain(engine, **fields), plain(engine, **fields, n_draft_max=15)
    assert_same_up_to_ties(slow, fast)
    assert len(fast.deltas) < len(slow.deltas)


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_a_draft_with_mistakes_changes_nothing(start: Start, kind: str) -> None:
    engine = start(kind)
    expected = plain(engine)
    text = expected.text
    for draft in (
        f"{text[:20]}Q{text[21:]}",
        f"{text[:20]}{text[25:]}",
        f"{text[:20]}QRS{text[20:]}",
        text[30:] + text[:30],
        text[:10],
        text[::-1],
        "QRSTUVW" * 20,
        "\ufffd\x01é日本",
    ):
        drafted = plain(engine, draft=draft)
        assert_same_up_to_ties(expected, drafted)
    assert plain(engine, draft="Q" * 60).finish.usage.n_draft_accepted == 0


@pytest.mark.parametrize("kind", ["mamba", "jamba", "rwkv7"])
def test_where_steps_cannot_be_undone_drafts_are_left_out(start: Start, kind: str) -> None:
    engine = start(kind)
    expected = plain(engine)
    drafted = plain(engine, draft=expected.text[:20] + "QQQ")
    assert drafted.text == expected.text
    assert drafted.finish.usage.n_draft_accepted == 0


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_what_comes_after_rejected_drafts_is_computed_right(start: Start, kind: str) -> None:
    engine = start(kind)
    free = {"max_tokens": 40, "n_logprobs": 2}
    drafts = ["the cat sat on the mat " * 3, "dog " * 20]
    answers = [ask(engine, PROMPT, draft=draft, **free) for draft in drafts]
    cold = start(kind)
    expected = ask(cold, PROMPT, **free)
    for answer in answers:
        assert_same_up_to_ties(expected, answer)
    # The next turn reuses the cells that are left.
    turn = [65 + item.token % 26 for item in expected.logprobs]
    prompt = [*turn, *turn]
    assert_same_up_to_ties(ask(cold, prompt, **free), ask(engine, prompt, **free))


def test_drafts_of_many_requests_do_not_mix(engine: LocalEngine) -> None:
    prompts = ["the cat", "the dog", "on the mat", "a fish", "so it is"]
    alone = [plain(engine, prompt) for prompt in prompts]
    for _ in range(3):
        streams = [
            submit(
                engine,
                prompt,
                draft=answer.text[: i * 9] + "X" + answer.text[i * 9 :],
                n_logprobs=2,
                **LETTERS,
            )
            for i, (prompt, answer) in enumerate(zip(prompts, alone, strict=True))
        ]
        for answer, drafted in zip(alone, map(read, streams), strict=True):
            assert_same_up_to_ties(answer, drafted)


def test_seeds_draw_the_same(engine: LocalEngine) -> None:
    sampling = SamplingParams(temperature=0.7, seed=5)
    expected = plain(engine, sampling=sampling)
    drafted = plain(engine, sampling=sampling, draft=expected.text)
    assert drafted.text == expected.text
    assert drafted.finish.usage.n_draft_accepted > 0


def test_limits_and_stop_strings_end_inside_a_draft(engine: LocalEngine) -> None:
    text = plain(engine).text
    for n in range(1, 20):
        answer = plain(engine, draft=text, max_tokens=n)
        assert (answer.text, answer.finish.reason) == (text[:n], "length")
        assert answer.finish.usage.n_completion_tokens == n
    # A grammar would not be ended by a stop string.
    letters = engine.tokenize(text, add_special=False, parse_special=False)
    free = {
        "grammar": "",
        "max_tokens": 64,
        "sampling": SamplingParams(temperature=0, allowed_token_ids=letters),
    }
    text = plain(engine, **free).text
    stop = text[30:33]
    is_drafted = False
    while not is_drafted:  # where the machine stutters, a draft may seem to cost too much
        stopped = plain(engine, **free, draft=text, stop=[stop])
        assert (stopped.text, stopped.finish.stop_string) == (text[: text.index(stop)], stop)
        is_drafted = len(stopped.deltas) < len(stopped.text)


def test_the_context_ends_an_answer_with_a_draft(engine: LocalEngine) -> None:
    fields = {"grammar": "root ::= [a-z]*", "max_tokens": None}
    expected = ask(engine, PROMPT, **fields)
    drafted = ask(engine, PROMPT, draft=expected.text, **fields)
    assert expected.finish.reason == drafted.finish.reason == "length"
    assert drafted.finish.usage.n_completion_tokens == expected.finish.usage.n_completion_tokens
