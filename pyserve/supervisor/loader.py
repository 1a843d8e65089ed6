"""Loads wanted models as memory allows, and unloads idle ones to make room."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

from pyserve.config import ServeConfig
from pyserve.supervisor.leases import LeaseTable
from pyserve.supervisor.memory import free_bytes
from pyserve.supervisor.model import Entry
from pyserve.supervisor.placement import Move, Resident, Room, Verdict, make_room

DRAIN_AFTER_S = 2.0  # so long a model that is asked for waits for others to become idle

log = logging.getLogger(__name__)


class Loader:
    """Executes the decisions of `make_room`. Thread: the supervisor's loop only. Never blocks.

    available: bytes that the system would still give us, 0 = not known.
    draining: models that take no new requests, so that they become idle and can be unloaded.
    """

    def __init__(
        self, config: ServeConfig, leases: LeaseTable, available: Callable[[], int]
    ) -> None:
        self._config = config
        self._leases = leases
        self._available = available
        self.draining: set[Entry] = set()

    def waiting(self) -> list[tuple[float, Entry]]:
        """Models with waiting requests, and since when; the longest first."""
        return [(at, entry) for at, entry in self._leases.waiting() if isinstance(entry, Entry)]

    def is_idle(self, entry: Entry) -> bool:
        """Whether no request uses the model or is about to."""
        is_wanted = self._leases.is_waited_for(entry) and entry not in self.draining
        return self._leases.n_granted(entry) == 0 and (entry.must_leave or not is_wanted)

    def load_wanted(
        self, entries: Collection[Entry], departing: Collection[Entry], now: float
    ) -> None:
        """Start what there is room for, in the order of asking; others are drained for the first
        that has to wait.

        departing: those that are no longer configured and take memory still.
        """
        preloads = [
            (0.0 if entry.spec.is_pinned else now, entry)
            for entry in entries
            if entry.wants_load
            and entry.state == "unloaded"
            and not self._leases.is_waited_for(entry)
        ]
        drain: set[Entry] = set()
        for asked_at, entry in [*preloads, *self.waiting()]:
            if entry.can_start:
                loaded = [other for other in (*entries, *departing) if other.slot.is_resident]
                residents = self._residents(entry, loaded, departing, now)
                move = self._make_room(entry, residents, may_drain=now - asked_at >= DRAIN_AFTER_S)
                if move.verdict is Verdict.WAIT and self._is_urgent(entry):
                    drain = set(_entries(move.drain))
                    break
        self.draining = drain

    def _make_room(self, entry: Entry, residents: list[Resident], *, may_drain: bool) -> Move:
        """Start a model, or unload and drain others first; a refused one is failed."""
        usages = [other.usage() for other in _entries(resident.key for resident in residents)]
        # The first model is for the engine to refuse: it knows exactly what it needs.
        n_available = self._available() if residents else 0
        free = free_bytes(n_available, self._config.memory_limit_mib << 20, usages)
        room = Room(free, self._config.max_loaded_models)
        move = make_room(entry.n_bytes, residents, room, may_drain=may_drain)
        if not self._is_urgent(entry) and (move.verdict is Verdict.REFUSE or move.unload):
            entry.wants_load = False  # not at the expense of others
            return Move(Verdict.REFUSE)
        if move.verdict is Verdict.START:
            log.info("loading model %s", entry.spec.id)
            entry.start()
        elif move.verdict is Verdict.REFUSE:
            entry.refuse(free, list(_entries(move.in_the_way)))
        for other in _entries(move.unload):
            log.info("unloading model %s to make room for %s", other.spec.id, entry.spec.id)
            other.slot.unload()
        return move

    def _is_urgent(self, entry: Entry) -> bool:
        """Whether the model may be loaded at the expense of others."""
        return entry.is_urgent or entry.spec.is_pinned or self._leases.waits_to_use(entry)

    def _residents(
        self, wanted: Entry, loaded: Collection[Entry], departing: Collection[Entry], now: float
    ) -> list[Resident]:
        """The loaded models as residents, from the view of one that is to be loaded."""
        return [
            entry.as_resident(
                now,
                is_busy=not self.is_idle(entry),
                is_departing=entry in departing,
                is_rival=entry.spec.is_rival(wanted.spec),
            )
            for entry in loaded
        ]


def _entries(keys: Iterable[Hashable]) -> Iterator[Entry]:
    """The entries of residents by the keys that placement uses."""
    for key in keys:
        assert isinstance(key, Entry)
        yield key
