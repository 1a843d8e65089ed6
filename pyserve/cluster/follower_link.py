"""A front's end of its follower: starts it, hears it, and starts it again when it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable

from pyserve.cluster.views import News, Wanted, news_decoder
from pyserve.engine.remote.wire import WireError, encode
from pyserve.process.sockets import RECV_BYTES

RESTART_S = 1.0
MAX_RESTART_S = 15.0
STDERR_FD = 2

log = logging.getLogger(__name__)


class FollowerLink:
    """The follower of the cluster at `address`, until `close`. Any thread may call any method.

    on_news: called in the link's own thread.
    """

    def __init__(self, address: str, on_news: Callable[[News], None]) -> None:
        self._address = address
        self._on_news = on_news
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower-link", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def want(self, model_id: str) -> None:
        """A request waits for a model without replicas; without a follower nothing happens."""
        with self._lock:
            process = self._process
            if process is not None and process.stdin is not None:
                with contextlib.suppress(OSError, ValueError):
                    process.stdin.write(encode(Wanted(model_id=model_id)))

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            if self._process is not None:
                self._process.kill()  # whose end the link's thread reads
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        delay_s = RESTART_S
        while not self._closing.is_set():
            if self._follow():
                delay_s = RESTART_S
            self._closing.wait(delay_s)
            delay_s = min(2 * delay_s, MAX_RESTART_S)

    def _follow(self) -> bool:
        """One follower's life; whether it has told something."""
        process = self._start()
        if process is None:
            return False
        assert process.stdout is not None
        decoder = news_decoder()
        has_told = False
        try:
            while data := os.read(process.stdout.fileno(), RECV_BYTES):
                for news in decoder.feed(data):
                    has_told = True
                    self._on_news(news)
        except WireError as error:
            log.error("the follower says what cannot be understood: %s", error)
        self._end()
        return has_told

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._closing.is_set():
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pyserve.cluster.follower", self._address],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=STDERR_FD,
                bufsize=0,
                process_group=0,
            )
            return self._process

    def _end(self) -> None:
        """End the follower. In the link's own thread, which reads its output."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):
                    pipe.close()
