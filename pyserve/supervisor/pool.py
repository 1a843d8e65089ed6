"""The configured models of one server: which are loaded, who uses them, who has to wait."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from pyserve.config import ServeConfig
from pyserve.engine.memory import available_bytes
from pyserve.errors import ErrorInfo, ModelNotFoundError
from pyserve.supervisor.backend import ModelStatus
from pyserve.supervisor.entry import Entry
from pyserve.supervisor.leases import Lease, LeaseTable, Tell
from pyserve.supervisor.memory import free_bytes
from pyserve.supervisor.messages import Acquire, Load, Reply, Unload
from pyserve.supervisor.placement import Move, Resident, Room, Verdict, make_room
from pyserve.supervisor.slot import EngineSlot
from pyserve.supervisor.spec import ModelSpec

DRAIN_AFTER_S = 2.0  # so long a model that is asked for waits for others to become idle

log = logging.getLogger(__name__)


class ModelPool:
    """Owns the engine slots. Thread: the supervisor's loop only. Nothing blocks.

    Models are loaded in the order in which they are asked for; whoever asks first is served
    first. A model that requests run in is left alone, but takes no new ones once another model
    has waited for its place. sockets_dir: private directory for the engines' sockets.
    available: bytes that the system would still give us, 0 = not known.
    """

    def __init__(
        self,
        config: ServeConfig,
        sockets_dir: Path,
        clock: Callable[[], float],
        available: Callable[[], int] = available_bytes,
    ) -> None:
        self._config = config
        self._sockets_dir = sockets_dir
        self._clock = clock
        self._available = available
        self._n_slots = 0
        self._entries: dict[str, Entry] = {}
        self._departing: list[Entry] = []
        self._draining: set[Entry] = set()
        self._leases = LeaseTable()
        self._unloads: dict[tuple[Hashable, int], tuple[Entry, Tell]] = {}

    @property
    def slots(self) -> list[EngineSlot]:
        """Those of the configured models, in their order."""
        return [entry.slot for entry in self._entries.values()]

    @property
    def all_slots(self) -> list[EngineSlot]:
        """With those whose model is no longer configured and whose process still ends."""
        return [*self.slots, *(entry.slot for entry in self._departing)]

    def statuses(self) -> list[ModelStatus]:
        return [entry.status() for entry in self._entries.values()]

    def configure(self, specs: Sequence[ModelSpec]) -> None:
        """Serve exactly these from now on: a model whose engine is unchanged goes on undisturbed.

        The old engine of a changed or removed model ends with its running requests, while new ones
        get the new engine. REQUIRES: the ids differ.
        """
        before, self._entries = self._entries, {}
        for spec in specs:
            old = before.get(spec.id)
            if old is not None and old.spec.is_same_engine(spec):
                del before[spec.id]
                old.spec = spec
                self._entries[spec.id] = old
            else:
                wants_load = spec.is_preloaded or spec.is_pinned
                self._entries[spec.id] = Entry(spec, self._new_slot(spec), wants_load)
        for model_id, entry in before.items():
            self._departing.append(entry)
            if model_id in self._entries:
                self._leases.redirect(entry, self._entries[model_id])
            else:
                self._leases.deny(entry, _not_found(model_id))

    def acquire(self, front: Hashable, message: Acquire, tell: Tell) -> None:
        """Answer when the model is loaded, or cannot be; the lease lasts until `release`."""
        entry = self._entries.get(message.model_id)
        if entry is None:
            tell(Reply(call_id=message.call_id, error=_not_found(message.model_id)))
            return
        lease = Lease(message.call_id, entry, self._clock(), tell, message.keep_alive_s)
        self._leases.add(front, lease)

    def release(self, front: Hashable, call_id: int) -> None:
        """End a lease, or the wait for one or for an unload."""
        self._unloads.pop((front, call_id), None)
        lease = self._leases.remove(front, call_id)
        if lease is not None:
            self._end_use(lease)

    def drop(self, front: Hashable) -> None:
        """End everything of a front that is gone."""
        for key in [key for key in self._unloads if key[0] is front]:
            del self._unloads[key]
        for lease in self._leases.remove_front(front):
            self._end_use(lease)

    def load(self, message: Load, tell: Tell) -> None:
        """Load a model that no request asks for; answers before it is loaded."""
        entry = self._entries.get(message.model_id)
        if entry is not None:
            entry.want()
        error = _not_found(message.model_id) if entry is None else None
        tell(Reply(call_id=message.call_id, error=error))

    def unload(self, front: Hashable, message: Unload, tell: Tell) -> None:
        """Unload when idle, or at once; answer when it is done."""
        entry = self._entries.get(message.model_id)
        if entry is None:
            tell(Reply(call_id=message.call_id, error=_not_found(message.model_id)))
            return
        self._unloads[front, message.call_id] = (entry, tell)
        entry.must_leave = True
        entry.wants_load = entry.is_urgent = False
        if message.is_forced or not entry.slot.is_running:
            entry.slot.unload()

    def check(self) -> None:
        """Do what is due; call it whenever something may have changed."""
        now = self._clock()
        for entry in self._entries.values():
            entry.check()
            if self._is_idle(entry) and entry.is_to_leave(now):
                log.info("unloading model %s", entry.spec.id)
                entry.slot.unload()
        self._end_departing()
        self._tell_unloaded()
        self._draining = self._load_wanted(now)
        for _asked_at, entry in self._waiting():
            self._answer(entry, now)

    def next_check_at(self) -> float | None:
        """When `check` has something to do even if nothing happens."""
        times = [slot.next_check_at() for slot in self.slots]
        times += [entry.expires_at() for entry in self._entries.values() if self._is_idle(entry)]
        return min((at for at in times if at is not None), default=None)

    def _waiting(self) -> list[tuple[float, Entry]]:
        """The models that requests wait for, and since when; the longest first."""
        return [(at, entry) for at, entry in self._leases.waiting() if isinstance(entry, Entry)]

    def _is_idle(self, entry: Entry) -> bool:
        """Whether no request runs in it, or is about to."""
        is_wanted = self._leases.is_waited_for(entry) and entry not in self._draining
        return self._leases.n_granted(entry) == 0 and (entry.must_leave or not is_wanted)

    def _end_use(self, lease: Lease) -> None:
        entry = lease.model
        if lease.is_granted and isinstance(entry, Entry):
            entry.used_at, entry.keep_alive_s = self._clock(), lease.keep_alive_s

    def _end_departing(self) -> None:
        for entry in self._departing:
            if self._leases.n_granted(entry) == 0:
                entry.slot.unload()
        self._departing = [entry for entry in self._departing if not entry.slot.reap()]

    def _tell_unloaded(self) -> None:
        for key, (entry, tell) in list(self._unloads.items()):
            if not entry.slot.is_resident:
                del self._unloads[key]
                tell(Reply(call_id=key[1]))

    def _load_wanted(self, now: float) -> set[Entry]:
        """Start what there is room for, in the order of asking; returns whom to drain for it."""
        preloads = [
            (0.0 if entry.spec.is_pinned else now, entry)
            for entry in self._entries.values()
            if entry.wants_load
            and entry.state == "unloaded"
            and not self._leases.is_waited_for(entry)
        ]
        for asked_at, entry in [*preloads, *self._waiting()]:
            if entry.can_start:
                move = self._make_room(entry, now, asked_at)
                if move.verdict is Verdict.WAIT:
                    return {left for left in move.drain if isinstance(left, Entry)}
        return set()

    def _make_room(self, entry: Entry, now: float, asked_at: float) -> Move:
        """Start a model, or do what has to be done before; a refused one is failed."""
        residents = [self._resident(other, now) for other in self._all() if other.slot.is_resident]
        usages = [other.usage() for other in self._all() if other.slot.is_resident]
        # The first model is for the engine to refuse: it knows exactly what it needs.
        n_available = self._available() if residents else 0
        free = free_bytes(n_available, self._config.memory_limit_mib << 20, usages)
        room = Room(free, self._config.max_loaded_models)
        may_drain = now - asked_at >= DRAIN_AFTER_S
        move = make_room(entry.n_bytes, residents, room, may_drain=may_drain)
        is_urgent = entry.is_urgent or entry.spec.is_pinned or self._leases.is_waited_for(entry)
        if not is_urgent and (move.verdict is Verdict.REFUSE or move.unload):
            entry.wants_load = False  # not at the expense of others
            return Move(Verdict.REFUSE)
        if move.verdict is Verdict.START:
            log.info("loading model %s", entry.spec.id)
            entry.start()
        elif move.verdict is Verdict.REFUSE:
            entry.refuse(free)
        for other in move.unload:
            assert isinstance(other, Entry)
            log.info("unloading model %s to make room for %s", other.spec.id, entry.spec.id)
            other.slot.unload()
        return move

    def _all(self) -> list[Entry]:
        return [*self._entries.values(), *self._departing]

    def _resident(self, entry: Entry, now: float) -> Resident:
        return Resident(
            key=entry,
            n_bytes=entry.usage().n_freed,
            used_at=max(entry.used_at, entry.slot.ready_at),
            ready_at=entry.slot.ready_at,
            is_pinned=entry.spec.is_pinned,
            is_busy=not self._is_idle(entry),
            is_settled=entry.is_settled(now),
            is_leaving=entry.must_leave or entry.state == "unloading" or entry in self._departing,
        )

    def _answer(self, entry: Entry, now: float) -> None:
        """Tell those who wait for the model what has become of it."""
        if entry.state == "ready" and not entry.must_leave and entry not in self._draining:
            socket_path = entry.slot.status.socket_path
            assert socket_path is not None, "a ready model has a socket"
            entry.used_at = now
            self._leases.grant(entry, socket_path)
        elif entry.state == "failed" and not entry.can_start:
            self._leases.deny(entry, entry.why_failed())

    def _new_slot(self, spec: ModelSpec) -> EngineSlot:
        stem = self._sockets_dir / f"engine{self._n_slots}"
        self._n_slots += 1
        return EngineSlot(self._config, spec.engine, stem, self._clock)


def _not_found(model_id: str) -> ErrorInfo:
    return ModelNotFoundError(f"no model {model_id!r}", param="model").to_info()
