"""Starts a supervisor without a front: for a gunicorn that runs on its own, and for the library."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from pyserve.backend.runtime import try_lock

MAX_DELAY_S = 30.0

log = logging.getLogger(__name__)


class SupervisorStarter:
    """Starts the supervisor of `runtime_dir` if none runs; call it before each connection attempt.

    The lock in the directory is taken here and held by the supervisor for as long as it lives.
    lifeline_fd: the reading end of a pipe whose other end is gunicorn's alone: the supervisor ends
    when gunicorn does. environ: its environment, None: ours;
    it announces no server then. Thread: one, and any for `stop`.
    """

    def __init__(
        self, runtime_dir: Path, lifeline_fd: int, environ: Mapping[str, str] | None = None
    ) -> None:
        self._runtime_dir = runtime_dir
        self._environ = environ
        self._lock = threading.Lock()
        self._is_stopped = False
        self._lifeline_fd = lifeline_fd
        self._process: subprocess.Popen[bytes] | None = None
        self._n_starts = 0
        self._not_before = 0.0

    def __call__(self) -> None:
        """Raises OSError, for instance when the directory is gone."""
        with self._lock:
            if not self._is_stopped:
                self._start_if_none_runs()

    def stop(self) -> None:
        """End the supervisor and wait for it; start none any more."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.terminate()
                self._process.wait()

    def _start_if_none_runs(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        now = time.monotonic()
        if now < self._not_before:
            return
        lock_fd = try_lock(self._runtime_dir)
        if lock_fd is None:
            return
        try:
            self._start(lock_fd)
        finally:
            os.close(lock_fd)
        self._not_before = now + min(2.0**self._n_starts, MAX_DELAY_S)
        self._n_starts += 1

    def _start(self, lock_fd: int) -> None:
        log.debug("starting the supervisor in %s", self._runtime_dir)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "pyserve.cli.supervise",
                str(self._runtime_dir),
                str(self._lifeline_fd),
                *(() if self._environ is None else ("silent",)),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=[lock_fd, self._lifeline_fd],
            env=self._environ,
            start_new_session=True,
        )
