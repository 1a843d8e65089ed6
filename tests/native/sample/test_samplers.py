"""Every sampler on the tiny model: what it may draw, by its definition."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from tests.native.helpers import ask, read, submit
from tests.support.tiny.llama import END_OF_TEXT, IM_END

PROMPT = "The cat jumped"
N_DRAWS = 64
Row = dict[int, float]  # token: probability, descending
Draws = Callable[..., list[int]]

NO_FILTERS = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


def params(**fields: Any) -> SamplingParams:
    return SamplingParams(ignore_eos=True, **{**NO_FILTERS, **fields})


def shaped(row: Mapping[int, float]) -> Row:
    """Sums to 1, without the tokens that end an answer, the best first."""
    kept = {t: p for t, p in row.items() if t not in (END_OF_TEXT, IM_END)}
    total = sum(kept.values())
    return dict(sorted(((t, p / total) for t, p in kept.items()), key=lambda item: -item[1]))


@pytest.fixture
def row(engine: LocalEngine) -> Row:
    (first,) = ask(engine, PROMPT, n_logprobs=320, max_tokens=1).logprobs
    return shaped({top.token: math.exp(top.logprob) for top in first.top})


@pytest.fixture
def draws(engine: LocalEngine) -> Draws:
    """The first token of the answer under 64 seeds."""

    def draw(prompt: str = PROMPT, **fields: Any) -> list[int]:
        streams = [
            submit(engine, prompt, sampling=params(seed=seed, **fields), n_logprobs=0, max_tokens=1)
            for seed in range(N_DRAWS)
        ]
        return [read(stream).logprobs[0].token for stream in streams]

    return draw


def answer(engine: LocalEngine, prompt: str = PROMPT, **fields: Any) -> list[int]:
    got = ask(engine, prompt, sampling=params(**fields), n_logprobs=0, max_tokens=12)
    return [item.token for item in got.logprobs]


def best(row: Row, n: int) -> list[int]:
    return list(row)[:n]


def nucleus(row: Row, p: float) -> list[int]:
    total, kept = 0.0, []
    for token, probability in row.items():
        kept.append(token)
        total += probability
        if total >= p:
            break
    return kept


def test_the_default_chain_is_a_nucleus_of_40(row: Row, draws: Draws) -> None:
    drawn = draws(top_k=40, top_p=0.5)
    assert set(drawn) <= set(nucleus(shaped({t: row[t] for t in best(row, 40)}), 0.5))
    assert len(set(drawn)) > 1


def test_typical_keeps_what_is_as_surprising_as_the_entropy(row: Row, draws: Draws) -> None:
    entropy = -sum(p * math.log(p) for p in row.values())
    by_distance = sorted(row, key=lambda token: abs(-math.log(row[token]) - entropy))
    kept = nucleus({token: row[token] for token in by_distance}, 0.3)
    assert best(row, 1)[0] not in kept
    assert set(draws(typical_p=0.3)) <= set(kept)


def test_typical_is_not_confused_by_tokens_of_probability_zero(row: Row, draws: Draws) -> None:
    (first, second) = best(row, 2)
    bans = {token: -math.inf for token in row if token not in (first, second)}
    assert set(draws(typical_p=0.3, logit_bias=bans)) <= {first, second}


def test_top_n_sigma_keeps_what_is_near_the_best(row: Row, draws: Draws) -> None:
    logits = {token: math.log(p) for token, p in row.items()}
    mean = sum(logits.values()) / len(logits)
    sigma = math.sqrt(sum((x - mean) ** 2 for x in logits.values()) / len(logits))
    limit = max(logits.values()) - sigma * 0.5
    kept = {token for token, logit in logits.items() if logit >= limit - 1e-3}
    drawn = set(draws(top_n_sigma=0.5))
    assert len(drawn) > 1
    assert drawn <= kept
    assert kept < set(row)


def test_xtc_removes_all_likely_tokens_but_the_last(row: Row, draws: Draws) -> None:
    likely = [token for token, p in row.items() if p >= 0.05]
    assert len(likely) > 2
    assert not set(draws(xtc_probability=1.0, xtc_threshold=0.05)) & set(likely[:-1])
    assert set(draws(xtc_probability=0.0, xtc_threshold=0.05)) & set(likely[:-1])
    assert set(draws(xtc_probability=1.0, xtc_threshold=0.6)) & set(likely[:-1])


def test_xtc_at_half_the_draws_spares_the_best_in_some(row: Row, draws: Draws) -> None:
    n_best = draws(top_k=1, samplers="xk", xtc_probability=0.5, xtc_threshold=0.05).count(
        best(row, 1)[0]
    )
    assert 10 < n_best < N_DRAWS - 10


def test_xtc_leaves_greedy_without_its_best_token(row: Row, draws: Draws) -> None:
    likely = [token for token, p in row.items() if p >= 0.05]
    assert set(draws(temperature=0.0)) == {likely[0]}
    fields = {"temperature": 0.0, "xtc_probability": 1.0, "xtc_threshold": 0.05}
    assert set(draws(**fields)) == {likely[-1]}


def test_min_keep_outweighs_the_filters(row: Row, draws: Draws) -> None:
    for filters in ({"top_p": 0.01}, {"min_p": 0.999}, {"typical_p": 0.01}):
        assert len(set(draws(**filters))) == 1
        drawn = set(draws(**filters, min_keep=5))
        assert 1 < len(drawn) <= 5
        if "typical_p" not in filters:
            assert drawn <= set(best(row, 5))


def test_the_order_of_samplers_matters(row: Row, draws: Draws) -> None:
    hot_first = {"temperature": 2.0, "top_p": 0.3}
    cold_nucleus, hot_nucleus = nucleus(row, 0.3), nucleus(shaped(sharpened(row, 2.0)), 0.3)
    assert len(cold_nucleus) < len(hot_nucleus)
    assert set(draws(**hot_first, samplers="pt")) <= set(cold_nucleus)
    drawn = set(draws(**hot_first, samplers="tp"))
    assert drawn <= set(hot_nucleus)
    assert not drawn <= set(cold_nucleus)


def sharpened(row: Row, temperature: float) -> Row:
    return {token: p ** (1 / temperature) for token, p in row.items()}


def test_a_sampler_that_is_not_listed_is_off(row: Row, draws: Draws) -> None:
    off = {"temperature": 0.0, "top_k": 1, "xtc_probability": 1.0, "mirostat": 0}
    drawn = draws(**off, samplers="")
    assert len(set(drawn)) > 5
    assert drawn == draws()
    assert set(draws(**off, samplers="k")) == set(best(row, 1))


def test_a_penalty_after_top_k_cannot_bring_others_back(
    engine: LocalEngine, row: Row, draws: Draws
) -> None:
    said = engine.tokenize(PROMPT, add_special=False, parse_special=False)[0]
    made_best = {said: math.log(row[best(row, 1)[0]] / row[said]) + 0.5}
    fields = {"logit_bias": made_best, "top_k": 1, "repeat_penalty": 10.0}
    assert set(draws(**fields, samplers="ke")) == {said}
    assert said not in draws(**fields, samplers="ek")


def test_a_dynamic_temperature_follows_the_entropy(row: Row, draws: Draws) -> None:
    frozen = draws(temperature=0.5, dynatemp_range=0.5, dynatemp_exponent=100.0)
    assert set(frozen) == set(best(row, 1))
    at_its_top = draws(temperature=0.5, dynatemp_range=0.5, dynatemp_exponent=0.0)
    assert len(set(at_its_top)) > 5
    assert at_its_top == draws(temperature=0.25, dynatemp_range=0.75, dynatemp_exponent=0.0)


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_repeats_its_draws_with_the_seed(engine: LocalEngine, version: int) -> None:
    def text(seed: int, **fields: Any) -> list[int]:
        return answer(engine, mirostat=version, seed=seed, **fields)

    assert text(1) == text(1)
    assert text(1) != text(2)
    # It takes the place of the filters, and sees the temperature.
    assert text(1) == text(1, top_k=1, xtc_probability=1.0, typical_p=0.1, samplers="k")
    assert text(1, temperature=0.0) == answer(engine, temperature=0.0)


def test_mirostat_2_draws_nothing_more_surprising_than_its_limit(row: Row, draws: Draws) -> None:
    # The limit begins at 2 tau bits.
    assert set(draws(mirostat=2, mirostat_tau=0.0)) == set(best(row, 1))
    kept = {token for token, p in row.items() if -math.log2(p) <= 4.0 + 1e-3}
    drawn = set(draws(mirostat=2, mirostat_tau=2.0))
    assert len(drawn) > 1
    assert drawn <= kept
    assert len(kept) < len(row)


def test_mirostat_keeps_the_penalties(engine: LocalEngine, row: Row) -> None:
    forced = {best(row, 1)[0]: 16.0}
    fields = {"mirostat": 2, "mirostat_tau": 0.0, "logit_bias": forced, "frequency_penalty": 2.0}
    assert len(set(answer(engine, **fields))) > 1
    assert len(set(answer(engine, **fields, samplers="kt"))) == 1


def test_adaptive_p_looks_for_tokens_near_its_target(row: Row, draws: Draws) -> None:
    likely = [row[token] for token in draws(adaptive_target=0.16, top_k=20)]
    unlikely = [row[token] for token in draws(adaptive_target=0.0, top_k=20)]
    assert sum(unlikely) < sum(likely)
    assert draws(adaptive_target=0.5, samplers="k") == draws(samplers="k")


def test_dry_forbids_what_would_continue_a_repetition(engine: LocalEngine) -> None:
    text = "xyz1 xyz2 xyz"
    again = engine.tokenize("1", add_special=False, parse_special=False)[0]
    forced = {"logit_bias": {again: 30.0}, "temperature": 0.0}

    def next_token(prompt: str, **fields: Any) -> int:
        return answer(engine, prompt, **forced, **fields)[0]

    dry = {"dry_multiplier": 50.0, "dry_sequence_breakers": ()}
    assert next_token(text) == again
    assert next_token(text, **dry) != again
    assert next_token(text, **dry, dry_allowed_length=3) != again
    assert next_token(text, **dry, dry_allowed_length=20) == again
    assert next_token(text, **dry, dry_penalty_last_n=0) == again
    assert next_token(text, **dry, dry_penalty_last_n=5) == again
    assert next_token(text, **dry, dry_penalty_last_n=-1) != again
    # A breaker inside of the repetition ends it.
    assert next_token(text, dry_multiplier=50.0, dry_sequence_breakers=("z",)) == again
    assert next_token(text, dry_multiplier=50.0, dry_sequence_breakers=("q",)) != again
    assert next_token(text, **dry, samplers="et") == again
    assert next_token("abcdefgh", **dry) == again


CORNERS: list[dict[str, Any]] = [
    {"xtc_probability": 1.0, "xtc_threshold": threshold} for threshold in (0.0, 0.5, 1.0)
]
CORNERS += [
    {"min_keep": 2**31 - 1, "top_p": 0.5, "min_p": 0.5, "typical_p": 0.5, "xtc_probability": 1.0},
    {"min_keep": 2**31 - 1, "samplers": "tyxmp", "top_p": 0.1, "typical_p": 0.1},
    *({"dry_multiplier": 100.0, "dry_penalty_last_n": n} for n in (-1, 0, 1, 2**31 - 1)),
    *({"dry_multiplier": 100.0, "dry_allowed_length": n} for n in (0, 1, 2**31 - 1)),
    {"dry_multiplier": 100.0, "dry_base": 100.0, "dry_penalty_last_n": -1},
    {"dry_multiplier": 100.0, "dry_base": 1.0, "dry_sequence_breakers": ("",)},
    {"dry_multiplier": 1.0, "dry_sequence_breakers": ("ab" * 20, "é" * 20, "a", " ", "\n")},
    *({"mirostat": v, "mirostat_tau": tau} for v in (1, 2) for tau in (0.0, 5.0, 100.0)),
    *({"mirostat": v, "mirostat_eta": eta} for v in (1, 2) for eta in (0.0, 1.0)),
    {"mirostat": 1, "top_k": 1, "temperature": 1e-45},
    {"mirostat": 9},
    {"top_k": 0, "typical_p": 1e-30},
    {"top_k": 2**31 - 1, "top_p": 1e-30, "min_p": 1.0, "samplers": "pmk"},
    {"top_n_sigma": 1e-30, "typical_p": 0.5, "xtc_probability": 1.0},
    {"top_n_sigma": 100.0, "samplers": "ssss"},
    {"temperature": 1e-40, "dynatemp_range": 1e-40, "dynatemp_exponent": 0.0},
    {"temperature": 1e-5, "dynatemp_range": 2.0, "dynatemp_exponent": 100.0, "top_k": 2},
    {"temperature": 0.0, "dynatemp_range": 100.0, "dynatemp_exponent": 100.0},
    {"temperature": 1e-30, "samplers": "tttt", "typical_p": 0.5},
    {"temperature": 0.0, "samplers": "txyeda", "typical_p": 0.5, "xtc_probability": 1.0},
    *({"adaptive_target": t, "adaptive_decay": d} for t in (0.0, 1.0) for d in (0.0, 0.99)),
    {"adaptive_target": 0.5, "samplers": "aaka", "top_k": 1},
    {"samplers": ""},
    {"samplers": "zz\0?"},
    {"samplers": "eeedddkkk", "top_k": 3, "frequency_penalty": 2.0, "dry_multiplier": 1.0},
    {"repeat_penalty": 10.0, "repeat_last_n": -1, "samplers": "tke"},
    {"repeat_penalty": 1.5, "repeat_last_n": 2**31 - 1, "typical_p": 0.9},
]


@pytest.mark.parametrize("fields", CORNERS, ids=str)
def test_no_accepted_value_ends_the_engine(engine: LocalEngine, fields: dict[str, Any]) -> None:
    tokens = answer(engine, "the cat the cat the", seed=3, **fields)
    assert len(tokens) == 12
    assert tokens == answer(engine, "the cat the cat the", seed=3, **fields)


def test_banning_every_token_fails_that_request_alone(engine: LocalEngine) -> None:
    ban_all = dict.fromkeys(range(320), -math.inf)
    for fields in ({"mirostat": 1}, {"typical_p": 0.5}, {"adaptive_target": 0.5}):
        with pytest.raises(Exception, match="every token is banned"):
            ask(engine, PROMPT, sampling=params(logit_bias=ban_all, **fields))
    assert answer(engine)
