"""Model pool: all configured models of one server, their loading and their leases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from pyserve.backend.messages import Acquire, Load, Reply, Unload
from pyserve.backend.protocol import ModelStatus
from pyserve.config import ServeConfig
from pyserve.errors import ErrorInfo, ModelNotFoundError, ModelNotLoadedError
from pyserve.process.memory import available_bytes
from pyserve.supervisor.engine_slot import EngineSlot
from pyserve.supervisor.leases import Lease, LeaseTable, Tell
from pyserve.supervisor.loader import Loader
from pyserve.supervisor.model import Entry
from pyserve.supervisor.spec import ModelSpec

log = logging.getLogger(__name__)


class ModelPool:
    """Owns the engine slots. Thread: the supervisor's loop only. Nothing blocks.

    Models are loaded in the order in which they are asked for. A busy model is not unloaded, but
    takes no new requests once another model has waited for its memory. sockets_dir: private
    directory for the engines' sockets.
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
        self._n_slots = 0
        self._entries: dict[str, Entry] = {}
        self._departing: list[Entry] = []
        self._leases = LeaseTable()
        self._loader = Loader(config, self._leases, available)
        self._unloads: dict[tuple[Hashable, int], tuple[Entry, Tell]] = {}

    @property
    def slots(self) -> list[EngineSlot]:
        """The engine slots of the configured models, in order."""
        return [entry.slot for entry in self._entries.values()]

    @property
    def all_slots(self) -> list[EngineSlot]:
        """All engine slots, also those of removed models whose process is still ending."""
        return [*self.slots, *(entry.slot for entry in self._departing)]

    def statuses(self) -> list[ModelStatus]:
        return [entry.status() for entry in self._entries.values()]

    def configure(self, specs: Sequence[ModelSpec]) -> None:
        """Serve exactly these models from now on; those with an unchanged engine keep running.

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
        """Reply when the model is loaded, or cannot be; the lease lasts until `release`."""
        entry = self._entries.get(message.model_id)
        if entry is None:
            tell(Reply(call_id=message.call_id, error=_not_found(message.model_id)))
            return
        error = None if message.is_successor else entry.too_many(self._n_in_work(entry))
        if error is not None:
            tell(Reply(call_id=message.call_id, error=error))
            return
        asked_at, stay_s = self._clock(), message.keep_alive_s
        lease = Lease(message.call_id, entry, asked_at, tell, stay_s, message.is_look)
        self._leases.add(front, lease)

    def release(self, front: Hashable, call_id: int) -> None:
        """End a lease, or a pending acquire or unload."""
        self._unloads.pop((front, call_id), None)
        lease = self._leases.remove(front, call_id)
        if lease is not None:
            self._end_use(lease)

    def drop(self, front: Hashable) -> None:
        """End all leases and requests of a front that is gone."""
        for key in [key for key in self._unloads if key[0] is front]:
            del self._unloads[key]
        for lease in self._leases.remove_front(front):
            self._end_use(lease)

    def load(self, message: Load, tell: Tell) -> None:
        """Load a model that no request asks for; replies before it is loaded."""
        entry = self._entries.get(message.model_id)
        if entry is not None:
            entry.want()
        error = _not_found(message.model_id) if entry is None else None
        tell(Reply(call_id=message.call_id, error=error))

    def unload(self, front: Hashable, message: Unload, tell: Tell) -> None:
        """Unload when idle, or at once; reply when it is done."""
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
            if self._loader.is_idle(entry) and entry.is_to_leave(now):
                log.info("unloading model %s", entry.spec.id)
                entry.slot.unload()
        self._end_departing()
        self._tell_unloaded()
        self._deny_looks()
        self._loader.load_wanted(self._entries.values(), self._departing, now)
        for _asked_at, entry in self._loader.waiting():
            self._answer(entry, now)

    def next_check_at(self) -> float | None:
        """The time of the next `check` if nothing happens before."""
        times = [slot.next_check_at() for slot in self.slots]
        times += [
            entry.expires_at() for entry in self._entries.values() if self._loader.is_idle(entry)
        ]
        return min((at for at in times if at is not None), default=None)

    def _n_in_work(self, entry: Entry) -> int:
        """The number of leases of a model, also those of its old engine."""
        same = (other for other in self._all() if other.spec.id == entry.spec.id)
        return sum(self._leases.n_leases(other) for other in same)

    def _end_use(self, lease: Lease) -> None:
        entry = lease.model
        if lease.is_granted and not lease.is_look and isinstance(entry, Entry):
            entry.used_at, entry.keep_alive_s = self._clock(), lease.keep_alive_s

    def _end_departing(self) -> None:
        for entry in self._departing:
            if self._leases.n_granted(entry) == 0:
                entry.slot.unload()
        self._departing = [entry for entry in self._departing if not entry.slot.reap()]

    def _deny_looks(self) -> None:
        """Nobody loads a model by looking at it."""
        for _asked_at, entry in self._loader.waiting():
            is_wanted = entry.wants_load or self._leases.waits_to_use(entry)
            if entry.can_start and not is_wanted:
                self._leases.deny(entry, ModelNotLoadedError.of(entry.spec.id).to_info())

    def _tell_unloaded(self) -> None:
        for key, (entry, tell) in list(self._unloads.items()):
            if not entry.slot.is_resident:
                del self._unloads[key]
                tell(Reply(call_id=key[1]))

    def _all(self) -> list[Entry]:
        return [*self._entries.values(), *self._departing]

    def _answer(self, entry: Entry, now: float) -> None:
        """Reply to those who wait for the model: it is loaded, or failed."""
        if entry.state == "ready" and not entry.must_leave and entry not in self._loader.draining:
            socket_path = entry.slot.status.socket_path
            assert socket_path is not None, "a ready model has a socket"
            if self._leases.waits_to_use(entry):
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
