"""SIGINT and SIGTERM before the supervisor runs, for instance during a download."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Stopped(BaseException):  # like KeyboardInterrupt, it is no error
    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and SIGINT unwind the block, say so and exit with 128 + their number (143, 130).

    The block's clean-up runs: a package client is ended, partial files stay for the next run.
    Thread: main thread.
    """
    previous = {sig: signal.signal(sig, _unwind) for sig in SIGNALS}
    try:
        yield
    except _Stopped as stopped:
        name = signal.Signals(stopped.signum).name
        print(f"stopped by {name}; run the same command again to continue", file=sys.stderr)
        sys.exit(128 + stopped.signum)
    finally:
        for sig, handler in previous.items():
            signal.signal(sig, handler)


def _unwind(signum: int, _frame: FrameType | None) -> NoReturn:
    raise _Stopped(signum)
