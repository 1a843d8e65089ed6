"""Signals as input of a selector loop."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterable
from types import FrameType


class SignalQueue:
    """Collects signals while it is entered; `wakeup` becomes readable when one has arrived.

    SIGCHLD wakes up but is not collected. Thread: main thread only.
    """

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._signals = tuple(signals)
        self._arrived: list[signal.Signals] = []
        self.wakeup, self._waker = socket.socketpair()
        self.wakeup.setblocking(False)
        self._waker.setblocking(False)

    def take(self) -> list[signal.Signals]:
        """The signals since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            self.wakeup.recv(4096)
        arrived, self._arrived = self._arrived, []
        return arrived

    def __enter__(self) -> SignalQueue:
        self._previous = {sig: signal.signal(sig, self._on_signal) for sig in self._signals}
        self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._previous_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_exception: object) -> None:
        signal.set_wakeup_fd(self._previous_fd)
        for sig, handler in self._previous.items():
            signal.signal(sig, handler)
        self.wakeup.close()
        self._waker.close()

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self._arrived.append(signal.Signals(signum))
