"""Lease table: the requests that use or wait for a model. Pure: no sockets, times are arguments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from pyserve.backend.messages import Reply
from pyserve.errors import ErrorInfo

Tell = Callable[[Reply], None]


@dataclass
class Lease:
    """One request's right to a loaded model, or its wait for that.

    model: the key of the model. asked_at: on the caller's clock.
    keep_alive_s: seconds until the idle model is unloaded; None: as configured, below 0: never.
    is_look: it is no use of the model, and loads none. tell: sends the reply.
    """

    lease_id: int
    model: Hashable
    asked_at: float
    tell: Tell
    keep_alive_s: float | None = None
    is_look: bool = False
    is_granted: bool = False


Key = tuple[Hashable, int]  # of a lease: its front, and the id that the front gave it


class LeaseTable:
    """All leases, by the front that asked. Thread: one."""

    def __init__(self) -> None:
        self._leases: dict[Key, Lease] = {}
        self._waiting: dict[
            Hashable, dict[Key, Lease]
        ] = {}  # by model, in the order of their coming
        self._n_granted: Counter[Hashable] = Counter()

    def add(self, front: Hashable, lease: Lease) -> None:
        key = (front, lease.lease_id)
        self._leases[key] = lease
        self._waiting.setdefault(lease.model, {})[key] = lease

    def remove(self, front: Hashable, lease_id: int) -> Lease | None:
        """End a lease, granted or not; None if there is none."""
        key = (front, lease_id)
        lease = self._leases.pop(key, None)
        if lease is None:
            return None
        if lease.is_granted:
            self._n_granted[lease.model] -= 1
            return lease
        waiting = self._waiting[lease.model]
        del waiting[key]
        if not waiting:
            del self._waiting[lease.model]
        return lease

    def remove_front(self, front: Hashable) -> list[Lease]:
        """End all leases of a front that is gone."""
        ids = [key[1] for key in self._leases if key[0] == front]
        leases = [self.remove(front, lease_id) for lease_id in ids]
        return [lease for lease in leases if lease is not None]

    def n_granted(self, model: Hashable) -> int:
        return self._n_granted[model]

    def n_leases(self, model: Hashable) -> int:
        """The number of leases, granted or waiting."""
        return self._n_granted[model] + len(self._waiting.get(model, ()))

    def is_waited_for(self, model: Hashable) -> bool:
        return model in self._waiting

    def waits_to_use(self, model: Hashable) -> bool:
        """Whether one that waits for the model does more than look at it."""
        return any(not lease.is_look for lease in self._waiting.get(model, {}).values())

    def waiting(self) -> list[tuple[float, Hashable]]:
        """Models with waiting leases, and since when; the longest first."""
        since = [
            (next(iter(leases.values())).asked_at, model) for model, leases in self._waiting.items()
        ]
        return sorted(since, key=lambda pair: pair[0])

    def redirect(self, model: Hashable, other: Hashable) -> None:
        """Have all leases that wait for `model` wait for `other`. REQUIRES: nobody did so yet."""
        leases = self._waiting.pop(model, None)
        if leases is None:
            return
        for lease in leases.values():
            lease.model = other
        self._waiting[other] = leases

    def grant(self, model: Hashable, socket_path: str) -> None:
        """Grant the model to all leases that wait for it."""
        for lease in self._waiting.pop(model, {}).values():
            lease.is_granted = True
            self._n_granted[model] += 1
            lease.tell(Reply(call_id=lease.lease_id, socket_path=socket_path))

    def deny(self, model: Hashable, error: ErrorInfo) -> None:
        """Fail all leases that wait for the model, with an error."""
        for key, lease in self._waiting.pop(model, {}).items():
            del self._leases[key]
            lease.tell(Reply(call_id=lease.lease_id, error=error))
