"""Which prefixes were sent where."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pyserve.cluster.routes import KEPT_S, Routes

CHAIN = tuple(range(1, 21))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(0, 2))))
def test_hits_are_the_longest_beginning_that_was_sent(sent: list[tuple[str, int, int]]) -> None:
    """Chains that part ways at their tenth block, against what was sent, compared one by one."""
    known = Routes()
    chains: dict[str, list[tuple[int, ...]]] = {}
    for name, n, branch in sent:
        chain = (*CHAIN[:10], *(100 * branch + block for block in CHAIN[10:]))[:n]
        known.add(name, chain, 0.0)
        chains.setdefault(name, []).append(chain)
    expected = {
        name: max(
            next(
                (n for n, (a, b) in enumerate(zip(each, CHAIN, strict=False)) if a != b), len(each)
            )
            for each in some
        )
        for name, some in chains.items()
    }
    assert known.hits(CHAIN, 1.0) == {name: n for name, n in expected.items() if n}


def test_what_is_not_sent_again_is_forgotten() -> None:
    known = Routes()
    known.add("a", CHAIN, 0.0)
    known.add("a", (99,), 0.0)
    for turn in range(1, 6):
        now = turn * KEPT_S
        assert known.hits(CHAIN, now) == {"a": 20}
        known.add("a", CHAIN, now)
    assert known.hits((99,), 5 * KEPT_S) == {}
    assert known.hits(CHAIN, 7 * KEPT_S) == {}


def test_a_replica_that_forgot_all_has_no_hits_and_its_bit_is_nobodys_for_a_while() -> None:
    known = Routes()
    known.add("a", CHAIN, 0.0)
    known.add("b", CHAIN[:5], 0.0)
    known.forget("a")
    known.forget("nobody")
    known.add("c", CHAIN[:2], 1.0)
    assert known.hits(CHAIN, 1.0) == {"b": 5, "c": 2}
    known.add("a", CHAIN[:1], 1.0)
    assert known.hits(CHAIN, 1.0) == {"a": 1, "b": 5, "c": 2}


def test_bits_are_given_again() -> None:
    """Replicas come and go for months; the numbers do not grow."""
    known, chance = Routes(), random.Random(1)
    names: list[str] = []
    for n in range(600):
        names.append(f"replica-{n}")
        known.add(names[-1], CHAIN, n * KEPT_S / 3)
        if len(names) > 4:
            known.forget(names.pop(chance.randrange(len(names))))
        assert set(known.hits(CHAIN, n * KEPT_S / 3)) <= set(names)
    assert max(known._bits.values()) < 1 << 20


def test_memory_is_bounded() -> None:
    known = Routes(max_blocks=50)
    for n in range(100):
        known.add("a", tuple(range(n * 20, n * 20 + 20)), 0.0)
        assert len(known._young) + len(known._old) < 2 * (50 + 20)
    assert known.hits(tuple(range(99 * 20, 99 * 20 + 20)), 0.0) == {"a": 20}
