"""What a front knows of its replicas, and whom it chooses."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.cluster.fleet import MAX_LOOKED_AT, Fleet, Load
from pyserve.engine.prefixes.keys import BLOCK_TOKENS, PrefixKeys
from pyserve.engine.prefixes.sketch import Digest, Sketch

NAMES = ("a", "b", "c")


def chat(number: int, n_blocks: int = 40, n_shared: int = 0) -> PrefixKeys:
    own = range(number * 10_007 + 1, number * 10_007 + 1 + n_blocks - n_shared)
    chain = (*range(-n_shared, 0), *(block * 7919 % (1 << 61) for block in own))
    return PrefixKeys(number * 104_729, chain, n_blocks * 256)


def fleet(*names: str) -> Fleet:
    made = Fleet()
    made.keep(names or NAMES)
    return made


def test_a_chat_stays_where_it_is_also_while_others_have_less_to_do() -> None:
    known = fleet()
    first = known.rank(chat(1), 0.0)[0]
    known.routed(1, first, chat(1), 0.0)
    known.told(first, Load(n_running=3), 20.0)
    assert known.rank(chat(1, 41), 20.0)[0] == first
    known.forget(first)
    assert known.rank(chat(1, 41), 20.0)[0] != first


def test_two_fronts_agree_on_chats_that_neither_knows() -> None:
    fronts = fleet(), fleet("c", "b", "a")
    firsts = [[front.rank(chat(n), 0.0) for n in range(50)] for front in fronts]
    assert firsts[0] == firsts[1]
    assert len({each[0] for each in firsts[0]}) == 3


def test_a_digest_tells_a_front_of_chats_that_it_has_not_seen() -> None:
    known = fleet()
    *_, last = known.rank(chat(1), 0.0)
    sketch = Sketch(100 * BLOCK_TOKENS)
    sketch.add(chat(1).chain)
    known.holds(last, Digest(sketch.digest()))
    assert known.rank(chat(1, 44), 0.0)[0] == last
    known.forget(last)
    assert known.rank(chat(1, 44), 0.0)[-1] == last


@pytest.mark.parametrize("ends", ["in time", "with its first token", "with the request"])
def test_a_prompt_that_is_being_computed_is_waited_for(ends: str) -> None:
    known = fleet()
    first, second, _ = known.rank(chat(1), 0.0)
    known.routed(1, first, chat(1, 400), 0.0)
    again = PrefixKeys(chat(1).anchor, chat(2).chain, chat(2).n_bytes)
    assert known.rank(again, 0.0)[0] == second
    known.told(first, Load(), 1.0)
    now = 2.0
    match ends:
        case "in time":
            now = 400 * BLOCK_TOKENS / 200
        case "with its first token":
            known.started(1)
            known.started(1)
        case "with the request":
            known.completed(1)
    assert known._seats[first].backlog_at(now) == 0
    known.completed(1)
    assert known.rank(again, now)[0] == first


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["routed", "started", "completed", "told", "keep", "forget"]),
            st.integers(0, 5),
            st.integers(0, 3),
        )
    )
)
def test_counts_stay_true_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    known = fleet()
    for now, (step, n, name) in enumerate(steps):
        replica = "abcd"[name]
        match step:
            case "routed":
                known.routed(n, replica, chat(n), now)
            case "started":
                known.started(n)
            case "completed":
                known.completed(n)
            case "told":
                known.told(replica, Load(n_running=n, n_waiting=name), now)
            case "keep":
                known.keep("abcd"[:n])
            case "forget":
                known.forget(replica)
        counts = known.n_requests
        assert known._n_requests == sum(counts.values())
        assert all(count >= 0 for count in counts.values())
        assert all(seat.n_ahead >= 0 for seat in known._seats.values())
        assert sorted(known.rank(chat(n), now)) == sorted(counts)
    for n in range(6):
        known.completed(n)
    assert not known._uses
    assert not known._sent


def test_a_prefix_that_everybody_wants_fills_all_replicas_alike() -> None:
    known = fleet()
    for n in range(30):
        keys = chat(n, 44, n_shared=40)
        known.routed(n, known.rank(keys, n / 100)[0], keys, n / 100)
    counts = known.n_requests.values()
    assert max(counts) <= 1.3 * 10
    assert min(counts) >= 7


def test_of_a_large_fleet_the_nearest_and_the_known_replicas_are_looked_at() -> None:
    names = [f"replica-{n}" for n in range(300)]
    known = fleet(*names)
    ranked = known.rank(chat(1), 0.0)
    assert len(ranked) <= MAX_LOOKED_AT
    far = next(name for name in names if name not in ranked)
    known.routed(1, far, chat(1), 0.0)
    assert known.rank(chat(1, 44), 60.0)[0] == far
    firsts = Counter(known.rank(chat(n), 60.0)[0] for n in range(3000))
    assert len(firsts) > 290
    assert max(firsts.values()) < 30


def test_where_all_near_replicas_are_crowded_farther_ones_are_looked_at() -> None:
    names = [f"replica-{n}" for n in range(100)]
    known = fleet(*names)
    for name in known.rank(chat(1), 0.0):
        known.told(name, Load(n_running=50), 0.0)
    first = known.rank(chat(1), 0.0)[0]
    assert known.n_requests[first] == 0
