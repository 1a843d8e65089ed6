"""Starts, watches and restarts gunicorn."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from pyserve.config import ServeConfig
from pyserve.supervisor.processes import describe_exit, let_serve, start_front
from pyserve.supervisor.restart_policy import RestartPolicy

log = logging.getLogger(__name__)


class FrontSlot:
    """Keeps gunicorn running on `listener`, which stays open while gunicorn is restarted.

    waiting: one that was started already, and waits to serve; None: there is none.
    Thread: the supervisor's loop only. Nothing blocks.
    """

    def __init__(
        self,
        config: ServeConfig,
        listener: socket.socket,
        control_path: Path,
        clock: Callable[[], float],
        waiting: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self._config = config
        self._listener = listener
        self._control_path = control_path
        self._clock = clock
        self._waiting = waiting
        self._policy = RestartPolicy()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._restart_at: float | None = None
        self.n_exits = 0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        self._restart_at = None
        self._started_at = self._clock()
        waiting, self._waiting = self._waiting, None
        process = waiting or start_front(self._config, self._listener, self._control_path)
        let_serve(process)
        self._process = process

    def check(self) -> None:
        """Notice that gunicorn ended; start it again when it is time."""
        now = self._clock()
        if self._process is not None:
            returncode = self._process.poll()
            if returncode is None:
                return
            self._process = None
            self.n_exits += 1
            restart = self._policy.on_crash(now, lived_s=now - self._started_at)
            self._restart_at = now + restart.delay_s
            log.error("gunicorn ended with %s", describe_exit(returncode))
        if self._restart_at is not None and now >= self._restart_at:
            self.start()

    def next_check_at(self) -> float | None:
        """The time of the next `check` if nothing happens before."""
        return self._restart_at

    def reload(self) -> None:
        """Have gunicorn start fresh workers; running requests finish in the old ones."""
        self._signal(signal.SIGHUP)

    def reopen_logs(self) -> None:
        """Have gunicorn reopen its log file; other processes do that by themselves."""
        self._signal(signal.SIGUSR1)

    def stop(self) -> None:
        """Close the listener, let gunicorn finish its requests, and start no other."""
        self._restart_at = None
        self._listener.close()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._restart_at = None
        self._signal(signal.SIGKILL)

    def reap(self) -> bool:
        """Collects an ended process; whether there is none any more."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        return self._process is None

    def _signal(self, sig: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(sig)
