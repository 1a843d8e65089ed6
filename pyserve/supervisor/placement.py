"""Placement: decides which models to unload for another one. Pure: everything is a value."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Resident:
    """A model that is loaded now.

    n_bytes: freed by unloading it. used_at: time of its last use, ready_at: time at which it was
    loaded; seconds of one clock. is_busy: requests run in it, or wait for it.
    is_settled: loaded for long enough to be unloaded although clients use it, who then wait for its
    return. is_leaving: its process is told to end. is_rival: it may not be loaded together with the
    new model.
    """

    key: Hashable
    n_bytes: int = 0
    used_at: float = 0.0
    ready_at: float = 0.0
    is_pinned: bool = False
    is_busy: bool = False
    is_settled: bool = False
    is_leaving: bool = False
    is_rival: bool = False


@dataclass(frozen=True)
class Room:
    """The capacity for models. n_bytes_free: None = not known. n_models_max: 0 = any number.

    n_bytes_free does not count what residents are still entitled to, and may be below 0.
    """

    n_bytes_free: int | None
    n_models_max: int = 0


class Verdict(enum.Enum):
    """START: there is room. WAIT: there will be. REFUSE: there will never be."""

    START = "start"
    WAIT = "wait"
    REFUSE = "refuse"


class Move(NamedTuple):
    """A decision about a model that is to be loaded.

    unload: idle models to unload at once. drain: models that take no new requests, so that they
    become idle. in_the_way: pinned rivals, the reason of a refusal.
    """

    verdict: Verdict
    unload: tuple[Hashable, ...] = ()
    drain: tuple[Hashable, ...] = ()
    in_the_way: tuple[Hashable, ...] = ()


def make_room(
    n_bytes: int, residents: Sequence[Resident], room: Room, *, may_drain: bool = False
) -> Move:
    """Decides how to make room for a model of `n_bytes` among the residents.

    All rivals are unloaded, then idle models, the least recently used first; pinned ones never.
    Busy models finish by themselves, or with `may_drain` settled ones are drained, the longest
    loaded first.
    """
    lack = _Lack(n_bytes, len(residents), room)
    if lack.is_met and not any(resident.is_rival for resident in residents):
        return Move(Verdict.START)
    lack.give(resident for resident in residents if resident.is_leaving)
    staying = [resident for resident in residents if not resident.is_leaving]
    in_the_way = [resident for resident in staying if resident.is_rival and resident.is_pinned]
    others = [resident for resident in staying if not resident.is_pinned]
    idle = sorted((r for r in others if not r.is_busy), key=lambda r: r.used_at)
    busy = sorted((r for r in others if r.is_busy), key=lambda r: r.ready_at)
    unload, drain = lack.give_rivals(idle), lack.give_rivals(busy)
    unload += lack.choose([resident for resident in idle if not resident.is_rival])
    drain += lack.choose([resident for resident in busy if not resident.is_rival])
    if in_the_way or not lack.is_met:
        return Move(Verdict.REFUSE, in_the_way=_keys(in_the_way))
    if not drain:
        return Move(Verdict.WAIT, _keys(unload))
    if may_drain and all(resident.is_settled for resident in drain):
        return Move(Verdict.WAIT, _keys(unload), _keys(drain))
    return Move(Verdict.WAIT)


class _Lack:
    """Capacity still missing for a model: bytes, and one more loaded model."""

    def __init__(self, n_bytes: int, n_residents: int, room: Room) -> None:
        free = room.n_bytes_free
        self._n_bytes = 0 if free is None else n_bytes - free
        self._n_models = n_residents + 1 - room.n_models_max if room.n_models_max else 0

    @property
    def is_met(self) -> bool:
        return self._n_bytes <= 0 and self._n_models <= 0

    def give(self, residents: Iterable[Resident]) -> None:
        """Count the capacity of these as free."""
        for resident in residents:
            self._n_bytes -= resident.n_bytes
            self._n_models -= 1

    def give_rivals(self, residents: Sequence[Resident]) -> list[Resident]:
        """Count the capacity of the rivals among these as free, and return them."""
        rivals = [resident for resident in residents if resident.is_rival]
        self.give(rivals)
        return rivals

    def choose(self, residents: Sequence[Resident]) -> list[Resident]:
        """The first of the residents that are needed; their capacity counts as free."""
        chosen: list[Resident] = []
        for resident in residents:
            if self.is_met:
                break
            chosen.append(resident)
            self.give([resident])
        for resident in chosen[:-1]:  # a later, larger one may have made it needless
            if self._n_bytes + resident.n_bytes <= 0 and self._n_models + 1 <= 0:
                chosen.remove(resident)
                self._n_bytes += resident.n_bytes
                self._n_models += 1
        return chosen


def _keys(residents: Iterable[Resident]) -> tuple[Hashable, ...]:
    return tuple(resident.key for resident in residents)
