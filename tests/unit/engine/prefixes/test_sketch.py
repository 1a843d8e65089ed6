"""What a replica holds, and what others read of its digest."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyserve.engine.prefixes.keys import BLOCK_TOKENS, MAX_BLOCKS
from pyserve.engine.prefixes.sketch import MAX_DIGEST_BYTES, Digest, Sketch


def chain(seed: int, n: int) -> tuple[int, ...]:
    blocks = random.Random(seed)
    return tuple(blocks.getrandbits(64) for _ in range(n))


@st.composite
def forest(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Chains, some of which begin alike."""
    chains: list[tuple[int, ...]] = [()]
    for seed in range(draw(st.integers(1, 12))):
        stem = draw(st.sampled_from(chains))
        kept = stem[: draw(st.integers(0, len(stem)))]
        chains.append(kept + chain(seed, draw(st.integers(1, 20))))
    return draw(st.permutations(chains))


@given(forest(), st.integers(1, 60))
def test_what_is_held_is_held_from_its_beginning(
    chains: list[tuple[int, ...]], capacity: int
) -> None:
    sketch = Sketch(capacity * BLOCK_TOKENS)
    for each in chains:
        sketch.add(each)
        assert len(sketch) <= capacity
        assert sketch.n_held(each) == min(len(each), capacity)
        for other in chains:
            held = [block in sketch._blocks for block in other]
            assert held == sorted(held, reverse=True)
            assert sketch.n_held(other) == sum(held)


def test_the_longest_unused_goes_first_by_its_tokens() -> None:
    sketch = Sketch(1000)
    first, second, third = (chain(seed, 4) for seed in range(3))
    sketch.add(first, n_tokens=400)
    sketch.add(second, n_tokens=400)
    sketch.add(first, n_tokens=400)
    sketch.add(third, n_tokens=400)
    assert [sketch.n_held(each) for each in (first, second, third)] == [4, 2, 4]
    sketch.clear()
    assert (len(sketch), sketch.n_held(first), sketch.digest()) == (0, 0, b"")


@given(forest())
def test_a_digest_tells_no_less_than_what_is_held(chains: list[tuple[int, ...]]) -> None:
    sketch = Sketch(40 * BLOCK_TOKENS)
    for each in chains:
        sketch.add(each)
    digest = Digest(sketch.digest())
    told = Digest(_anew(sketch))
    assert all(told.n_held(each) >= sketch.n_held(each) for each in chains)
    assert Digest().n_held(chains[0]) == 0
    assert digest.n_held(()) == 0


def _anew(sketch: Sketch) -> bytes:
    sketch._n_changes = len(sketch) + 1
    return sketch.digest()


@pytest.mark.parametrize("n_blocks", [10, 1000, 5000, 60_000])
def test_a_digest_stays_small_and_near_the_truth(n_blocks: int) -> None:
    """Of a cache of 3.8 million tokens the prefixes that were used last are told."""
    sketch = Sketch(n_blocks * BLOCK_TOKENS)
    n_each = min(n_blocks // 2, MAX_BLOCKS)
    chains = [chain(seed, n_each) for seed in range(n_blocks // n_each)]
    for each in chains:
        sketch.add(each)
    data = _anew(sketch)
    assert len(data) <= MAX_DIGEST_BYTES
    digest = Digest(data)
    stride = digest._stride
    assert stride <= 8
    for each in chains[-15:]:
        assert 0 <= n_each - digest.n_held(each) < stride
        half = each[: n_each // 2] + chain(99, n_each // 2)
        assert abs(n_each // 2 - digest.n_held(half)) <= stride
    strangers = [digest.n_held(chain(seed, MAX_BLOCKS)) for seed in range(1000, 1400)]
    assert sum(n > 2 * stride for n in strangers) <= 2


def test_a_digest_changes_with_a_twentieth_of_the_blocks() -> None:
    sketch = Sketch(100_000 * BLOCK_TOKENS)
    assert sketch.digest() == b""
    sketch.add(chain(1, 400))
    first = sketch.digest()
    assert first
    sketch.add(chain(2, 20))
    sketch.add(chain(1, 400))
    assert sketch.digest() == first
    sketch.add(chain(3, 1))
    assert sketch.digest() != first
    sketch.clear()
    assert sketch.digest() == b""


@pytest.mark.parametrize("data", [b"\0", b"\0\0\0", b"\0\1ab", bytes(MAX_DIGEST_BYTES + 2)])
def test_other_bytes_are_no_digest(data: bytes) -> None:
    with pytest.raises(ValueError, match=f"{len(data)} bytes are no digest"):
        Digest(data)
