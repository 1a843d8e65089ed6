"""Engine slot: starts, watches and restarts the engine process of one model."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.config import ServeConfig
from pyserve.engine.config import EngineConfig, with_scales
from pyserve.engine.kernels import KernelChoice, KernelFall
from pyserve.engine.remote.wire import (
    Heartbeat,
    KernelsChosen,
    LoadFailed,
    Ready,
    WireError,
    report_decoder,
)
from pyserve.errors import ErrorInfo, ModelLoadError, UnavailableError
from pyserve.process.sockets import RECV_BYTES
from pyserve.supervisor.file_stamp import FileStamp
from pyserve.supervisor.processes import describe_exit, start_engine
from pyserve.supervisor.restart_policy import RestartPolicy

HEARTBEAT_TIMEOUT_S = 30.0  # without a sign of life, or with work and no progress in it
FILE_CHECK_S = 2.0
UNLOAD_S = 5.0  # an engine that takes longer to end is killed
MAX_COOL_DOWN_S = 60.0
KERNEL_FAULTS = ("SIGILL", "SIGFPE", "SIGBUS")  # what kernels that do not fit the CPU end with
N_CRASHES_BEFORE_READY = 2  # a model that was never loaded is given up sooner

log = logging.getLogger(__name__)
Clock = Callable[[], float]


class EngineSlot:
    """Runs the engine of one model, restarts it when it dies, and knows its status.

    A model that cannot be loaded stays `failed` until its file changes, which makes it `unloaded`,
    or until somebody starts it again. An engine that keeps crashing is `failed` between attempts,
    which come at growing intervals; one that ends as kernels do that do not fit the CPU is started
    again with lower ones, as long as there are any. The next engine has the scales of adapters that
    were set in the last. Thread: the supervisor's loop only. Nothing blocks.
    """

    def __init__(
        self, config: ServeConfig, engine: EngineConfig, sockets_stem: Path, clock: Clock
    ) -> None:
        self._config = config
        self._engine = engine
        self._sockets_stem = sockets_stem
        self._clock = clock
        self._file = FileStamp(Path(engine.model_path))
        self._policy = RestartPolicy(n_crashes=N_CRASHES_BEFORE_READY)
        self._load_policy = new_load_policy()
        self._cool_until = 0.0
        self._choice = KernelChoice(kernels="")
        self._process: subprocess.Popen[bytes] | None = None
        self._n_starts = 0
        self._n_crashes = 0
        self._started_at = 0.0
        self._heard_at = 0.0
        self._is_stuck = False
        self._unloading_since = 0.0
        self._restart_at: float | None = None
        self._load_error: ErrorInfo | None = None
        self.report: socket.socket | None = None
        self.has_been_ready = False
        self.ready_at = 0.0
        created = int(self._file.mtime_s or time.time())
        self.status = ModelStatus(
            id=engine.model_id, created=created, state="unloaded", model_path=engine.model_path
        )

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def is_resident(self) -> bool:
        """Whether the model takes memory, or will do so without being asked (a restart is due)."""
        return self.is_running or (self._restart_at is not None and self._load_error is None)

    @property
    def cool_down_s(self) -> float:
        """Seconds until a model that could not be loaded may be tried again; 0 if it may."""
        return max(self._cool_until - self._clock(), 0.0)

    def start(self) -> None:
        """Start an engine process; the status is `loading` from now on."""
        self._n_starts += 1
        self._restart_at = None
        self._load_error = None
        self._is_stuck = False
        self._choice = KernelChoice(kernels="")
        self._file.remember()
        self._started_at = self._heard_at = self._clock()
        self._decoder = report_decoder()
        path = Path(f"{self._sockets_stem}-{self._n_starts}.sock")
        self._process, self.report = start_engine(self._config, self._engine, path)
        self._socket_path = path
        self._set(state="loading", n_restarts=self._n_crashes)

    def on_report(self) -> None:
        """Read what the engine reports."""
        assert self.report is not None
        try:
            data = self.report.recv(RECV_BYTES)
            messages = self._decoder.feed(data)
        except BlockingIOError:
            return
        except (OSError, WireError):
            self.kill()
            data, messages = b"", []
        if not data:
            self._close_report()
        for message in messages:
            self._heard_at = self._clock()
            match message:
                case Heartbeat(stalled_ms=stalled_ms, adapter_scales=scales):
                    self._engine = with_scales(self._engine, scales)
                    self._note_stall(stalled_ms)
                case KernelsChosen(choice=choice):
                    self._on_choice(choice)
                case Ready(info=info) if self.status.state == "loading":
                    if not self.has_been_ready:
                        self.has_been_ready = True
                        self._policy = RestartPolicy()
                    self._load_policy = new_load_policy()
                    self.ready_at = self._heard_at
                    self._set(state="ready", info=info, socket_path=str(self._socket_path))
                case LoadFailed(error=error):
                    self._load_error = error

    def _note_stall(self, stalled_ms: float) -> None:
        """Kill an engine reported stuck twice; once may be after a stop of all processes."""
        was_stuck, self._is_stuck = self._is_stuck, stalled_ms > 1000 * HEARTBEAT_TIMEOUT_S
        if was_stuck and self._is_stuck:
            log.error("the engine of %s is stuck", self.status.id)
            self.kill()

    def check(self) -> None:
        """Handle exits, deadlines and a changed file; restart when it is due."""
        now = self._clock()
        if self._process is not None:
            returncode = self._process.poll()
            if returncode is not None:
                self._on_exit(returncode, now)
            else:
                self._check_deadlines(now)
        elif self._restart_at is not None and now >= self._restart_at:
            if self._load_error is None:
                self.start()
            elif self._file.has_changed():
                self._to_unloaded()
            else:
                self._restart_at = now + FILE_CHECK_S

    def next_check_at(self) -> float | None:
        """The time of the next `check` if nothing is reported before."""
        return self._restart_at if self._process is None else None

    def unload(self) -> None:
        """Ask the engine process to end: the status is `unloading`, then `unloaded`."""
        if self._process is None:
            self._to_unloaded()
        elif self.status.state != "unloading":
            self._unloading_since = self._clock()
            self._set(state="unloading")
            self.stop()

    def fail(self, error: ErrorInfo) -> None:
        """Mark the model as one that cannot be loaded. REQUIRES: no process runs."""
        now = self._clock()
        self._load_error = error
        self._restart_at = now + FILE_CHECK_S
        self._cool_until = now + self._load_policy.on_crash(now, lived_s=0.0).delay_s
        self._set(state="failed", error=error)

    def stop(self) -> None:
        """Ask the engine process to end, and start no other."""
        self._restart_at = None
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the engine process at once."""
        self._signal(signal.SIGKILL)

    def reap(self) -> bool:
        """Collects an ended process; whether there is none any more."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self._close_report()
        return self._process is None

    def _signal(self, sig: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(sig)

    def _on_exit(self, returncode: int, now: float) -> None:
        while self.report is not None:  # its last reports
            self.on_report()
        self._process = None
        if self.status.state == "unloading":
            self._to_unloaded()
            return
        if self._load_error is not None:
            self.fail(self._load_error)
            return
        how = describe_exit(returncode)
        self._n_crashes += 1
        if self._can_fall(how):
            self._fall(how)
            self._restart_at = now
            self._set(state="loading", n_restarts=self._n_crashes)
            return
        restart = self._policy.on_crash(now, lived_s=now - self._started_at)
        log.error("the engine of %s ended with %s", self.status.id, how)
        self._restart_at = now + restart.delay_s
        if restart.is_looping:
            self._set(state="failed", error=self._describe_crash(how, restart.delay_s))
        else:
            self._set(state="loading", n_restarts=self._n_crashes)

    def _on_choice(self, choice: KernelChoice) -> None:
        """Remember the engine's kernels, and log those that failed, once for all."""
        for fall in choice.falls:
            log.warning("%s: no kernels for %s: %s", self.status.id, fall.kernels, fall.reason)
        if choice.falls:
            self._engine = msgspec.structs.replace(self._engine, kernels=choice.kernels)
            self._set(kernel_falls=(*self.status.kernel_falls, *choice.falls))
        self._choice = choice

    def _can_fall(self, how: str) -> bool:
        """Whether lower kernels may help; a model file that has changed explains a fault, too."""
        return how in KERNEL_FAULTS and bool(self._choice.lower) and not self._file.has_changed()

    def _fall(self, how: str) -> None:
        """Have the next engine use lower kernels."""
        kernels, lower = self._choice.kernels, self._choice.lower
        log.error(
            "the engine of %s ended with %s; restarting it with kernels for %s instead of %s",
            self.status.id,
            how,
            lower,
            kernels,
        )
        self._engine = msgspec.structs.replace(self._engine, kernels=lower)
        self._set(kernel_falls=(*self.status.kernel_falls, KernelFall(kernels, how)))

    def _describe_crash(self, how: str, delay_s: float) -> ErrorInfo:
        if not self.has_been_ready:
            message = f"the engine crashed ({how}) while it loaded {self._engine.model_path}"
            if how == signal.SIGKILL.name:  # nobody else is likely to send it
                message += "; if memory ran out, choose a smaller --ctx-size or --kv-size"
            return ModelLoadError(message).to_info()
        message = f"the engine of {self.status.id} keeps crashing ({how}); it is started again"
        return UnavailableError(message, retry_after_s=max(int(delay_s), 1)).to_info()

    def _check_deadlines(self, now: float) -> None:
        if self.status.state == "loading":
            limit_s = self._config.load_timeout_s
            if now - self._started_at > limit_s and self._load_error is None:
                message = f"loading {self._engine.model_path} took more than {limit_s:g} s"
                self._load_error = ModelLoadError(message).to_info()
                self.kill()
        elif self.status.state == "unloading":
            if now - self._unloading_since > UNLOAD_S:
                self.kill()
        elif now - self._heard_at > HEARTBEAT_TIMEOUT_S:
            log.error(
                "the engine of %s sent no heartbeat for %g s", self.status.id, HEARTBEAT_TIMEOUT_S
            )
            self._heard_at = now
            self.kill()

    def _to_unloaded(self) -> None:
        self._restart_at = None
        self._load_error = None
        self._file.remember()
        self._set(state="unloaded")

    def _close_report(self) -> None:
        if self.report is not None:
            self.report.close()
            self.report = None

    def _set(self, **changes: object) -> None:
        fields = {"info": None, "error": None, "socket_path": None} | changes
        self.status = msgspec.structs.replace(self.status, **fields)


def new_load_policy() -> RestartPolicy:
    """The backoff after failed loads: 1, 2, 4 ... seconds."""
    return RestartPolicy(n_crashes=1, max_delay_s=MAX_COOL_DOWN_S)
