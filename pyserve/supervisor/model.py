"""One configured model: its spec and engine slot, and when to load and unload it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.errors import ErrorInfo, ModelLoadError, QueueFullError
from pyserve.supervisor.engine_slot import EngineSlot
from pyserve.supervisor.memory import Usage, held_bytes
from pyserve.supervisor.placement import Resident
from pyserve.supervisor.spec import ModelSpec

PROCESS_BYTES = 64 << 20  # an engine process without a model
MIN_STAY_S = 5.0
N_LOADS_STAY = 3  # a model stays at least so many times as long as its load took


@dataclass(eq=False)
class Entry:
    """wants_load: to be loaded although no request asks for it. is_urgent: also at the expense of
    idle models. must_leave: to be unloaded when idle.

    used_at: when its last request ended or began. keep_alive_s: what that request asked for.
    measured_bytes: what its last engine said that the model takes.
    """

    spec: ModelSpec
    slot: EngineSlot
    wants_load: bool
    is_urgent: bool = False
    must_leave: bool = False
    used_at: float = 0.0
    keep_alive_s: float | None = None
    measured_bytes: int | None = None

    @property
    def state(self) -> str:
        return self.slot.status.state

    @property
    def n_bytes(self) -> int:
        """The memory it takes when it is loaded; 0 = not known."""
        if self.measured_bytes is not None:
            return self.measured_bytes + PROCESS_BYTES
        return self.spec.n_bytes and self.spec.n_bytes + PROCESS_BYTES

    def status(self) -> ModelStatus:
        expires_at = self.expires_at()
        return msgspec.structs.replace(
            self.slot.status,
            profile=self.spec.profile,
            n_bytes=self.n_bytes,
            is_pinned=self.spec.is_pinned,
            expires_at=None if expires_at is None else math.ceil(expires_at),
        )

    def usage(self) -> Usage:
        return Usage(self.n_bytes, held_bytes(self.slot.pid))

    def as_resident(
        self, now: float, *, is_busy: bool, is_departing: bool, is_rival: bool
    ) -> Resident:
        """The loaded model as a resident that may be unloaded for others."""
        return Resident(
            key=self,
            n_bytes=self.usage().n_freed,
            used_at=max(self.used_at, self.slot.ready_at),
            ready_at=self.slot.ready_at,
            is_pinned=self.spec.is_pinned,
            is_busy=is_busy,
            is_settled=self.is_settled(now),
            is_leaving=self.must_leave or self.state == "unloading" or is_departing,
            is_rival=is_rival,
        )

    @property
    def can_start(self) -> bool:
        """Whether the model is unloaded, and no load of it failed just now."""
        if self.state == "failed":
            return not self.slot.is_resident and self.slot.cool_down_s == 0
        return self.state == "unloaded"

    def want(self) -> None:
        """Have the model loaded, even if its last load has just failed."""
        self.wants_load = self.is_urgent = True
        self.must_leave = False
        if self.state == "failed":
            self.slot.unload()

    def start(self) -> None:
        """Load the model; an error of the system makes it `failed`."""
        self.keep_alive_s = None
        try:
            self.slot.start()
        except OSError as error:
            message = f"no engine process can be started: {error.strerror or error}"
            self.slot.fail(ModelLoadError(message).to_info())

    def too_many(self, n_in_work: int) -> ErrorInfo | None:
        """The error for a request beyond the model's max_concurrent; None below it."""
        limits = self.spec.limits
        if not 0 < limits.max_concurrent <= n_in_work:
            return None
        message = (
            f"the model {self.spec.id} takes {limits.max_concurrent} requests at once, "
            f"and {n_in_work} are in work"
        )
        return QueueFullError(message, retry_after_s=limits.retry_after_s).to_info()

    def refuse(self, n_bytes_free: int | None, rivals: Sequence[Entry] = ()) -> None:
        """Fail the model: unloading others would not make enough room. rivals: pinned rivals."""
        if rivals:
            names = ", ".join(entry.spec.id for entry in rivals)
            self._refuse(f"shares a concurrency group with {names}, which is pinned")
            return
        limits = "max-loaded-models are pinned"
        if n_bytes_free is not None and n_bytes_free < self.n_bytes:
            limits = "other models cannot leave enough of the memory"
        self._refuse(f"has no room: it needs {self.n_bytes >> 20} MiB, and {limits}")

    def _refuse(self, why: str) -> None:
        message = f"the model {self.spec.id} {why}"
        self.wants_load = self.is_urgent = False
        self.slot.fail(ModelLoadError(message, n_bytes_needed=self.n_bytes).to_info())

    def why_failed(self) -> ErrorInfo:
        """The error of a failed model, with the time after which it is worth another try."""
        error = self.slot.status.error or ModelLoadError("the model cannot be loaded").to_info()
        retry_after_s = max(math.ceil(self.slot.cool_down_s), 1)
        details = {"retry_after_s": retry_after_s} | error.details
        return msgspec.structs.replace(error, details=details)

    def check(self) -> None:
        """Follow the state of the engine process."""
        self.slot.check()
        info = self.slot.status.info
        if info is not None:
            self.wants_load = self.is_urgent = False
            self.measured_bytes = info.size_bytes + info.kv_bytes + info.compute_bytes
        if not self.slot.is_resident:
            self.must_leave = False

    def is_to_leave(self, now: float) -> bool:
        """Whether an idle model is to be unloaded."""
        expires_at = self.expires_at()
        return self.must_leave or (expires_at is not None and expires_at <= now)

    def is_settled(self, now: float) -> bool:
        """Whether it has been loaded for long enough to be unloaded for others."""
        info = self.slot.status.info
        load_s = 0.0 if info is None else info.load_ms / 1000
        stayed_s = now - self.slot.ready_at
        return self.state == "ready" and stayed_s >= max(MIN_STAY_S, N_LOADS_STAY * load_s)

    def expires_at(self) -> float | None:
        """The time at which it is unloaded if it stays idle; None: never."""
        if self.spec.is_pinned or self.state != "ready":
            return None
        stay_s = self.spec.ttl_s or -1.0 if self.keep_alive_s is None else self.keep_alive_s
        if stay_s < 0:
            return None
        return max(self.used_at, self.slot.ready_at) + stay_s
