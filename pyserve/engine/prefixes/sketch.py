"""What a replica is believed to hold of computed prefixes, and how it tells others of it."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence

from pyserve.engine.prefixes.keys import BLOCK_TOKENS

MAX_DIGEST_BYTES = 2048
# A digest is told anew when more of the blocks than this came or went.
CHANGED_SHARE = 0.05
_HEAD_BYTES = 2
_MAX_FINGERPRINTS = (MAX_DIGEST_BYTES - _HEAD_BYTES) // 2
_FINGERPRINT = 0xFFFF
_MAX_SHIFT = 3  # every eighth block; of more than 8,184 blocks those that were used last are told


class Sketch:
    """The blocks of the prefixes that were computed last, as many as fit into the cache.

    Where a block is held, all before it in its chain are: the longest unused end goes first.
    Thread: one.
    """

    def __init__(self, capacity_tokens: int) -> None:
        self._capacity = float(capacity_tokens)
        self._blocks: OrderedDict[int, tuple[int, float]] = OrderedDict()  # place, tokens
        self._n_tokens = 0.0
        self._n_changes = 0
        self._n_told = 0
        self._told = b""

    def __len__(self) -> int:
        return len(self._blocks)

    def add(self, chain: Sequence[int], n_tokens: int | None = None) -> None:
        """The prefix was used now. n_tokens: of all its blocks, where that is known."""
        each = float(BLOCK_TOKENS)
        if n_tokens is not None and chain:
            each = max(n_tokens / len(chain), 1.0)
        for place in range(len(chain) - 1, -1, -1):
            block = chain[place]
            _, before = self._blocks.pop(block, (place, 0.0))
            self._blocks[block] = (place, each)
            self._n_tokens += each - before
            self._n_changes += not before
        while self._n_tokens > self._capacity and self._blocks:
            _, (_, n_gone) = self._blocks.popitem(last=False)
            self._n_tokens -= n_gone
            self._n_changes += 1

    def n_held(self, chain: Sequence[int]) -> int:
        """How many blocks of the chain's beginning are held."""
        return bisect_left(chain, True, key=lambda block: block not in self._blocks)

    def clear(self) -> None:
        """Nothing is held: the engine was started again."""
        self._n_changes += len(self._blocks)
        self._blocks.clear()
        self._n_tokens = 0.0

    def digest(self) -> bytes:
        """What `Digest` reads, at most `MAX_DIGEST_BYTES`. Stays equal until much has changed."""
        if self._n_changes > CHANGED_SHARE * self._n_told:
            self._told = _encode([(block, place) for block, (place, _) in self._blocks.items()])
            self._n_told, self._n_changes = len(self._blocks), 0
        return self._told


class Digest:
    """What another process holds, as told by `Sketch.digest`. Immutable.

    A few bits stand for a block, and of a large cache only every second, fourth or eighth block of
    a chain is told, so an answer is an estimate.
    Raises ValueError for bytes that are no digest.
    """

    def __init__(self, data: bytes = b"") -> None:
        if data and (len(data) > MAX_DIGEST_BYTES or len(data) % 2 or data[1]):
            raise ValueError(f"{len(data)} bytes are no digest of prefixes")
        self._stride = 1 << min(data[0], _MAX_SHIFT) if data else 1
        self._held = frozenset(_fingerprints(data[_HEAD_BYTES:]))

    def n_held(self, chain: Sequence[int]) -> int:
        """About how many blocks of the chain's beginning are held."""
        held, stride = self._held, self._stride
        low, high = 0, len(chain) // stride if held else 0
        while low < high:
            middle = (low + high + 1) // 2
            last = middle * stride - 1
            # Two in a row: one alone may be another's fingerprint.
            if chain[last] & _FINGERPRINT in held and (
                middle == 1 or chain[last - stride] & _FINGERPRINT in held
            ):
                low = middle
            else:
                high = middle - 1
        return low * stride


def _encode(blocks: Sequence[tuple[int, int]]) -> bytes:
    """blocks: with their places in their chains, least recently used first."""
    for shift in range(_MAX_SHIFT + 1):
        stride = 1 << shift
        marks = [block & _FINGERPRINT for block, place in blocks if (place + 1) % stride == 0]
        if len(marks) <= _MAX_FINGERPRINTS:
            break
    if not marks:
        return b""
    words = array("H", sorted(set(marks[-_MAX_FINGERPRINTS:])))
    if sys.byteorder == "big":
        words.byteswap()
    return bytes([shift, 0]) + words.tobytes()


def _fingerprints(data: bytes) -> array[int]:
    words = array("H")
    words.frombytes(data)
    if sys.byteorder == "big":
        words.byteswap()
    return words
