"""Which replica a request goes to, as a function of numbers."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.cluster.choose import (
    Candidate,
    Weights,
    affinity,
    cost,
    is_hot,
    limit,
    rank,
    salt_of,
    shares,
)
from pyserve.engine.prefixes.keys import PrefixKeys

WEIGHTS = Weights()
CHAIN = tuple(range(1, 41))
KEYS = PrefixKeys(7, CHAIN, 40 * 256)
NAMES = "abcdefgh"


def replica(name: str, n_hit_blocks: int = 0, **fields: Any) -> Candidate:
    numbers = {"n_running": 0, "n_waiting": 0, "backlog_tokens": 0.0}
    speeds = {"prompt_per_s": 200.0, "step_s": 0.05}
    return Candidate(
        name=name,
        salt=salt_of(name),
        n_hit_blocks=n_hit_blocks,
        **{**numbers, **speeds, **fields},
    )


def names(
    *candidates: Candidate, keys: PrefixKeys = KEYS, uses: dict[int, int] | None = None
) -> str:
    n_most = limit(sum(each.n_requests for each in candidates), len(candidates), WEIGHTS)
    return "".join(each.name for each in rank(keys, candidates, n_most, uses or {}, WEIGHTS))


loads = st.builds(
    replica,
    st.just("x"),
    st.integers(0, 40),
    n_running=st.integers(0, 20),
    n_waiting=st.integers(0, 5),
    backlog_tokens=st.floats(0, 1e5),
    prompt_per_s=st.floats(1, 1e5),
    step_s=st.floats(1e-4, 1),
)


@given(st.lists(loads, max_size=8), st.randoms())
def test_all_are_ranked_in_an_order_that_the_order_of_asking_does_not_change(
    some: list[Candidate], chance: Any
) -> None:
    fleet = [each._replace(name=n, salt=salt_of(n)) for n, each in zip(NAMES, some, strict=False)]
    ranked = names(*fleet)
    assert sorted(ranked) == sorted(NAMES[: len(fleet)])
    shuffled = list(fleet)
    chance.shuffle(shuffled)
    assert names(*shuffled) == ranked


@given(loads, st.sampled_from(["n_running", "n_waiting", "backlog_tokens"]))
def test_load_costs_and_hits_and_speed_save(candidate: Candidate, field: str) -> None:
    worth = shares(CHAIN, {})

    def seconds(**changed: Any) -> float:
        return cost(candidate._replace(**changed), KEYS, worth, WEIGHTS)

    plain = seconds()
    if field != "n_running" or not candidate.n_waiting:  # a fuller batch ends sooner for who waits
        assert seconds(**{field: getattr(candidate, field) + 1}) > plain
    assert seconds(n_hit_blocks=candidate.n_hit_blocks + 1) <= plain
    assert seconds(prompt_per_s=candidate.prompt_per_s * 2) <= plain


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"n_hit_blocks": 40}, {}),
        ({"n_hit_blocks": 40, "n_running": 3}, {}),
        ({}, {"backlog_tokens": 3000.0}),
        ({}, {"n_running": 3, "n_waiting": 1}),
        ({"prompt_per_s": 400.0}, {}),
        # A short wait is less than the prompt takes, a long one is more.
        ({"n_hit_blocks": 40, "backlog_tokens": 1000.0}, {}),
        ({}, {"n_hit_blocks": 40, "backlog_tokens": 6000.0}),
    ],
)
def test_seconds_decide(better: dict[str, Any], worse: dict[str, Any]) -> None:
    for first, other in itertools.permutations("ab"):
        assert names(replica(first, **better), replica(other, **worse)) == first + other


def test_a_prefix_that_many_want_is_computed_in_more_than_one_place() -> None:
    home, other = replica("a", 40, n_running=3), replica("b")
    assert names(home, other) == "ab"
    assert names(home, other, uses=dict.fromkeys(CHAIN, 9)) == "ba"
    own_end = dict.fromkeys(CHAIN[:10], 9)
    assert names(home, other, uses=own_end) == "ab"


def test_equal_replicas_are_ranked_by_the_chat_and_a_gone_one_moves_no_other_chat() -> None:
    fleet = [replica(name) for name in NAMES]
    chats = [KEYS._replace(anchor=salt_of(str(n))) for n in range(2000)]
    ranked = [names(*fleet, keys=keys) for keys in chats]
    counts = Counter(each[0] for each in ranked)
    assert all(200 <= counts[name] <= 300 for name in NAMES)
    without = [each for each in fleet if each.name != "c"]
    heirs = Counter()
    for keys, before in zip(chats, ranked, strict=True):
        after = names(*without, keys=keys)
        assert after == before.replace("c", "")
        heirs[after[0]] += before[0] == "c"
    assert all(heirs[name] >= 15 for name in NAMES if name != "c")


def test_affinity_is_even_also_of_anchors_and_names_in_a_row() -> None:
    salts = [salt_of(f"replica-{n}") for n in range(16)]
    nearest = Counter(max(salts, key=lambda salt: affinity(n, salt)) for n in range(16_000))
    assert all(850 <= nearest[salt] <= 1150 for salt in salts)


def test_nobody_is_crowded_while_others_have_room() -> None:
    assert [limit(n, 3, WEIGHTS) for n in (0, 8, 14, 29, 300)] == [8, 8, 10, 20, 200]
    assert [limit(n, 3, WEIGHTS, hot=True) for n in (0, 8, 14, 29)] == [4, 4, 6, 12]
    fleet = [replica("a", 40, n_running=20), replica("b", n_running=9), replica("c", n_running=0)]
    assert names(*fleet)[-1] == "a"
    assert limit(0, 0, WEIGHTS) == 8


def test_a_prompt_is_hot_while_several_run_that_share_most_of_it() -> None:
    assert not is_hot((), {})
    assert not is_hot(CHAIN, dict.fromkeys(CHAIN, 1))
    assert not is_hot(CHAIN, dict.fromkeys(CHAIN[:30], 9))
    assert is_hot(CHAIN, dict.fromkeys(CHAIN[:31], 2))


def test_a_prompt_beyond_the_chain_costs_all_of_its_blocks() -> None:
    longer = KEYS._replace(n_bytes=80 * 256)
    worth = shares(CHAIN, {})
    assert cost(replica("a", 40), longer, worth, WEIGHTS) == WEIGHTS.prompt_weight * 40 * 64 / 200
    assert cost(replica("a", 99), KEYS, worth, WEIGHTS) == 0
