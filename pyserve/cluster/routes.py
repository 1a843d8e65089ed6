"""Which prefixes a front has sent where, for some minutes."""

from __future__ import annotations

from collections.abc import Sequence

KEPT_S = 300.0  # at least; at most twice as long
MAX_BLOCKS = 200_000
_ALL = -1


class Routes:
    """The replicas that each block was sent to, as bits of a number.

    Two generations: what is not sent again while one lasts is forgotten with the next. The bit of
    a replica that is gone is given to another when both have forgotten it.
    Thread: one. Times are seconds of one clock.
    """

    def __init__(self, max_blocks: int = MAX_BLOCKS) -> None:
        """max_blocks: a generation of so many lasts no longer."""
        self._max_blocks = max_blocks
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._since = 0.0
        self._bits: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._void: tuple[set[int], set[int]] = (set(), set())  # in this generation, in the last

    def add(self, name: str, chain: Sequence[int], now: float) -> None:
        """All blocks of the chain are on this replica now, or will be."""
        self._turn(now)
        bit = self._bits.get(name) or self._new_bit(name)
        young = self._young
        for block in chain:
            young[block] = young.get(block, 0) | bit

    def hits(self, chain: Sequence[int], now: float) -> dict[str, int]:
        """How many blocks of the chain's beginning were sent to each replica that got any."""
        self._turn(now)
        young, old = self._young.get, self._old.get
        found: dict[str, int] = {}

        def holders(n: int) -> int:
            """Of the first n blocks; never more than of fewer."""
            block = chain[n - 1]
            return young(block, 0) | old(block, 0)

        # Parts of the chain, by their ends and who holds these.
        parts = [(0, _ALL, len(chain) + 1, 0)]
        while parts:
            low, of_low, high, of_high = parts.pop()
            if of_low == of_high:
                continue
            if high - low == 1:
                if low:
                    self._note(of_low & ~of_high, low, found)
                continue
            middle = (low + high) // 2
            of_middle = holders(middle)
            parts += (low, of_low, middle, of_middle), (middle, of_middle, high, of_high)
        return found

    def forget(self, name: str) -> None:
        """The replica holds nothing any more."""
        bit = self._bits.pop(name, None)
        if bit is not None:
            del self._names[bit]
            self._void[0].add(bit)

    def _note(self, bits: int, n_blocks: int, found: dict[str, int]) -> None:
        while bits:
            bit = bits & -bits
            bits ^= bit
            name = self._names.get(bit)
            if name is not None:
                found[name] = n_blocks

    def _new_bit(self, name: str) -> int:
        used = 0
        for bit in (*self._names, *self._void[0], *self._void[1]):
            used |= bit
        bit = ~used & (used + 1)
        self._bits[name] = bit
        self._names[bit] = name
        return bit

    def _turn(self, now: float) -> None:
        age = now - self._since
        if age < KEPT_S and len(self._young) < self._max_blocks:
            return
        self._old = self._young if age < 2 * KEPT_S else {}
        self._young = {}
        self._void = (set(), self._void[0])
        self._since = now
