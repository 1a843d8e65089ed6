"""The supervisor's main loop: starts, watches and ends the processes of one server."""

from __future__ import annotations

import enum
import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pyserve.backend.protocol import ModelStatus
from pyserve.backend.runtime import CONTROL_NAME
from pyserve.config import ServeConfig
from pyserve.errors import PyserveError
from pyserve.process.clock import OwnClock
from pyserve.process.signals import SignalQueue
from pyserve.supervisor.engine_slot import EngineSlot
from pyserve.supervisor.front_desk import FrontDesk, Replan
from pyserve.supervisor.front_slot import FrontSlot
from pyserve.supervisor.pool import ModelPool
from pyserve.supervisor.processes import reap_orphans
from pyserve.supervisor.spec import ModelSpec

log = logging.getLogger(__name__)

TICK_S = 1.0
FRONT_STOP_EXTRA_S = 3.0  # beyond gunicorn's own limit
ENGINE_STOP_S = 3.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

Observer = Callable[[Sequence[ModelStatus], bool], None]


class Phase(enum.Enum):
    RUNNING = "running"
    STOPPING_FRONT = "stopping front"
    STOPPING_ENGINES = "stopping engines"
    STOPPED = "stopped"


class Supervisor:
    """Owns the engines and, given a listener, gunicorn. `run` is its whole life.

    models: the models to serve. replan: reads the configuration again.
    runtime_dir: private directory for the sockets; the caller removes it.
    listener: the bound socket that gunicorn serves; None runs engines only.
    front: a gunicorn for it that waits to serve; one is started if None.
    check_front: raises PyserveError while keys or certificates cannot be used: the front is then
      not reloaded.
    must_load: stop with exit code 1 when at first no model at all can be loaded, or the front
      cannot be started.
    observer: called with the statuses, and whether the front is up, at every change.
    Thread: `run` must be in the main thread (signals).
    """

    def __init__(
        self,
        config: ServeConfig,
        models: Sequence[ModelSpec],
        runtime_dir: Path,
        *,
        listener: socket.socket | None = None,
        front: subprocess.Popen[bytes] | None = None,
        must_load: bool = True,
        observer: Observer = lambda _models, _is_front_up: None,
        replan: Replan | None = None,
        check_front: Callable[[], None] = lambda: None,
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._models = models
        self._clock = OwnClock()
        self._pool = ModelPool(config, runtime_dir, self._clock)
        self._desk = FrontDesk(runtime_dir / CONTROL_NAME, self._selector, self._pool, replan)
        self._reports: dict[EngineSlot, socket.socket] = {}
        self._front: FrontSlot | None = None
        if listener is not None:
            self._front = FrontSlot(config, listener, self._desk.path, self._clock, front)
        self._front_stop_s = config.graceful_timeout_s + FRONT_STOP_EXTRA_S
        self._must_load = must_load
        self._observer = observer
        self._check_front = check_front
        self._phase = Phase.RUNNING
        self._deadline = 0.0
        self._exit_code = 0
        self._published: list[ModelStatus] = []
        self._is_front_up = False
        self._has_front_been_up = False

    def run(self) -> int:
        """Serve until a signal, the lifeline or a failed start; returns the exit code.

        All children have ended when it returns. A second signal ends them at once.
        """
        with SignalQueue(SIGNALS) as signals:
            self._selector.register(signals.wakeup, selectors.EVENT_READ, None)
            try:
                self._start()
                while self._phase is not Phase.STOPPED:
                    self._wait()
                    for sig in signals.take():
                        self._on_signal(sig)
                    self._step()
            finally:
                self._kill_all()
                self._desk.close()
                self._selector.close()
        return self._exit_code

    def stop(self, exit_code: int = 0) -> None:
        """Begin to end everything: requests may finish, then the processes end."""
        if self._phase is not Phase.RUNNING:
            return
        self._exit_code = exit_code
        self._phase = Phase.STOPPING_FRONT
        self._deadline = self._clock() + self._front_stop_s
        if self._front is not None:
            self._front.stop()
            if not self._is_front_up:
                self._front.kill()  # it has no clients yet

    def _start(self) -> None:
        self._pool.configure(self._models)
        self._pool.check()
        self._watch_reports()
        self._publish()
        if self._front is not None:
            self._front.start()

    def _wait(self) -> None:
        """Sleep until something happens, and handle it."""
        for key, mask in self._selector.select(self._sleep_s()):
            if key.data is not None:  # else a signal: `run` takes it
                key.data(mask)

    def _sleep_s(self) -> float:
        if self._phase is not Phase.RUNNING:
            return TICK_S / 10
        times = [self._pool.next_check_at()]
        if self._front is not None:
            times.append(self._front.next_check_at())
        earliest = min((at for at in times if at is not None), default=float("inf"))
        return min(max(earliest - self._clock(), 0.0), TICK_S)

    def _on_signal(self, sig: signal.Signals) -> None:
        if sig == signal.SIGUSR1:
            if self._front is not None:
                self._front.reopen_logs()
        elif sig == signal.SIGHUP and not os.isatty(0):
            if self._phase is Phase.RUNNING:
                self._on_hangup()
        elif self._phase is Phase.RUNNING:
            self.stop()
        else:
            self._phase, self._exit_code = Phase.STOPPED, 1

    def _on_hangup(self) -> None:
        self._desk.reload()
        if self._front is None:
            return
        try:
            self._check_front()
        except PyserveError as error:
            log.error("the front goes on as it is: %s", error.message)
            return
        self._front.reload()

    def _step(self) -> None:
        if self._phase in (Phase.RUNNING, Phase.STOPPING_FRONT):
            self._pool.check()  # a front that stops asks for engines until its last request
            if self._front is not None and self._phase is Phase.RUNNING:
                self._front.check()
            self._publish()
        if self._phase is Phase.STOPPING_FRONT:
            self._finish_front()
        elif self._phase is Phase.STOPPING_ENGINES:
            self._finish_engines()
        self._desk.send_replies()
        self._watch_reports()
        if os.getpid() == 1:
            reap_orphans({child.pid for child in self._children()})

    def _children(self) -> list[EngineSlot | FrontSlot]:
        slots = self._pool.all_slots
        return [*slots] if self._front is None else [*slots, self._front]

    def _watch_reports(self) -> None:
        """Follow every slot from the report socket of its last process to that of its new one."""
        stale = [slot for slot, watched in self._reports.items() if slot.report is not watched]
        for slot in stale:
            self._selector.unregister(self._reports.pop(slot))
        for slot in self._pool.all_slots:
            if slot.report is not None and slot not in self._reports:
                on_ready = partial(_on_report, slot)
                self._selector.register(slot.report, selectors.EVENT_READ, on_ready)
                self._reports[slot] = slot.report

    def _publish(self) -> None:
        """Send changed statuses to fronts and observer; give up if nothing could be started."""
        statuses = self._pool.statuses()
        is_front_up = self._front is None or self._desk.n_fronts > 0
        is_news = statuses != self._published
        if is_news:
            self._desk.publish(statuses)
        if is_news or is_front_up != self._is_front_up:
            self._published, self._is_front_up = statuses, is_front_up
            self._has_front_been_up = self._has_front_been_up or is_front_up
            self._observer(statuses, is_front_up)
        has_loaded = any(slot.has_been_ready for slot in self._pool.slots)
        self._must_load = self._must_load and not has_loaded
        if self._must_load and self._is_hopeless():
            self.stop(exit_code=1)

    def _is_hopeless(self) -> bool:
        if self._front is not None and self._front.n_exits > 0 and not self._has_front_been_up:
            return True
        statuses = self._pool.statuses()
        return bool(statuses) and all(status.state == "failed" for status in statuses)

    def _finish_front(self) -> None:
        if self._front is not None and not self._front.reap():
            if self._clock() < self._deadline:
                return
            self._front.kill()
        self._phase = Phase.STOPPING_ENGINES
        self._deadline = self._clock() + ENGINE_STOP_S
        for slot in self._pool.all_slots:
            slot.stop()

    def _finish_engines(self) -> None:
        n_left = sum(not slot.reap() for slot in self._pool.all_slots)
        if n_left == 0 or self._clock() >= self._deadline:
            self._phase = Phase.STOPPED

    def _kill_all(self) -> None:
        """Kill the remaining processes, and wait for them."""
        children = self._children()
        for child in children:
            child.kill()
        while sum(not child.reap() for child in children) > 0:
            time.sleep(0.01)


def _on_report(slot: EngineSlot, _mask: int) -> None:
    slot.on_report()
