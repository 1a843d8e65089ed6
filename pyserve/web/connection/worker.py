"""gunicorn's threaded worker, with client deadlines, JSON errors and a graceful shutdown.

NOTE: leans on internals of gunicorn 27 (`tmp`, `handle`, `handle_request`, `handle_error`,
`enqueue_req`, `finish_request`, `murder_pending`, `set_accept_enabled`, `handle_exit`); the
dependency is pinned to that major version.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from functools import cache
from types import FrameType
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from pyserve.config import ServeConfig
from pyserve.web.connection.arrivals import Arrivals
from pyserve.web.connection.deadlines import ClientTimeouts, Deadlines, TimedApp
from pyserve.web.connection.drain import Drain
from pyserve.web.connection.expect import AwaitedBody, asks_to_close, must_close
from pyserve.web.connection.heartbeat import Heartbeat
from pyserve.web.connection.incoming import MAX_BYTES, Encrypted, Plain, send_now
from pyserve.web.connection.lingering import Lingering
from pyserve.web.connection.overload import Refusals
from pyserve.web.connection.tls import PLAIN_HTTP
from pyserve.web.request.families import DEFAULT, family_of, family_of_line
from pyserve.web.request.refusal import is_malformed, needs_tls, refuse, stalled
from pyserve.web.request.services import services_of

OVERLOAD_PAUSE_S = 0.02  # of the main loop after refusals: each time it wakes up slows the engine
N_ACCEPTED_AT_ONCE = 64
BACKGROUND_CHECK_S = 1.0


class Worker(ThreadWorker):  # type: ignore[misc]
    """Drops clients that stall; on SIGTERM refuses new connections and ends streams in time.

    That is `--graceful-timeout-s` when the server stops, and `--reload-timeout-s` when others take
    this worker's place.
    """

    wsgi: Any
    tmp: Heartbeat

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tmp.close()
        self.tmp = Heartbeat(self.cfg)

    def init_process(self) -> None:
        config = ServeConfig()
        timeouts = ClientTimeouts(
            config.header_timeout_s, config.body_timeout_s, config.write_timeout_s
        )
        self._deadlines = Deadlines(timeouts)
        self._deadlines.start()
        self._drain = Drain(config.graceful_timeout_s, config.reload_timeout_s)
        self.cfg.set("graceful_timeout", self._drain.longest_s)  # a stop's end is the master's
        self._prefix = config.api_prefix
        self._served = threading.local()  # the connection of a thread
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._services = services_of(self.wsgi)
        self.wsgi = TimedApp(self.wsgi, self._deadlines)

    def run(self) -> None:
        timeouts = self._deadlines.timeouts
        self._refusals = Refusals(self._services)
        self._arrivals = Arrivals(
            self.poller,
            super().enqueue_req,
            self._end,
            timeouts,
            answer=self._turn_away,
            incoming=Encrypted if self.cfg.is_ssl else Plain,
            fail=self._fail if self.cfg.is_ssl else None,
        )
        self._lingering = Lingering(self.poller, self._close)
        super().run()
        while not self._services.background.wait(BACKGROUND_CHECK_S):
            self.notify()
        self._refusals.report(is_last=True)

    def enqueue_req(self, conn: Any) -> None:
        """Called with every connection that may have a request."""
        conn.family = DEFAULT
        has_read_ahead = conn.parser is not None and conn.parser.unreader.buf.getvalue()
        if has_read_ahead:
            super().enqueue_req(conn)
        else:
            self._arrivals.take(conn)

    def murder_pending(self) -> None:
        """Called once in every turn of the main loop."""
        super().murder_pending()
        self._refusals.report()
        self._arrivals.expire(is_stopping=not self.alive)
        self._lingering.expire()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Called with every connection when its thread is done with it."""
        is_answered = not fs.cancelled() and fs.exception() is None
        if is_answered and fs.result() is False:
            self._lingering.take(conn)
        else:
            super().finish_request(conn, fs)

    def accept(self, listener: socket.socket) -> None:
        """Accept one connection; while requests are refused, all that wait."""
        for _ in range(N_ACCEPTED_AT_ONCE):
            n_before = self._refusals.n_in_turn
            super().accept(listener)
            if self._refusals.n_in_turn == n_before:
                break

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Under overload, wait for more requests to refuse together: that costs less."""
        if self._refusals.end_turn():
            time.sleep(OVERLOAD_PAUSE_S)
        super().wait_for_and_dispatch_events(timeout)

    def _turn_away(self, conn: Any, data: bytes) -> bool:
        """Refuse a request under overload; whether it was refused. data: its begin, or all."""
        conn.family = family_of_line(data, self._prefix)
        response = self._refusals.turn_away(data)
        if response is None:
            return False
        if self.cfg.is_ssl:
            send_now(conn.sock, response)
            self._lingering.take(conn)
            return True
        with contextlib.suppress(OSError):
            conn.sock.recv(len(data))  # what is left unread would reset the connection
            conn.sock.send(response, socket.MSG_DONTWAIT)
            conn.sock.shutdown(socket.SHUT_WR)
        self._close(conn)
        return True

    def _fail(self, conn: Any, error: OSError) -> None:
        """Close a connection that has no TLS, or lost it."""
        if isinstance(error, ssl.SSLError):
            self.handle_error(None, conn.sock, conn.client, error)
            with contextlib.suppress(OSError):  # what is left unread would reset the connection
                socket.socket.recv(conn.sock, MAX_BYTES, socket.MSG_DONTWAIT)
        self._close(conn)

    def _end(self, conn: Any, begin: bytes) -> None:
        """Close a connection whose request has not arrived; answers 408 if it had begun."""
        if begin:
            family = family_of_line(begin, self._prefix)
            send_now(conn.sock, stalled().to_bytes(family=family))
            self._lingering.take(conn)
        else:
            self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def handle(self, conn: Any) -> Any:
        conn.has_request = False  # ours: whether the application answers
        self._served.conn = conn
        is_stalled = threading.Event()

        def shut_down(is_sending: bool) -> None:
            with contextlib.suppress(OSError):  # it is closed already
                if is_sending and self.cfg.is_ssl:  # one thread at a time may use its TLS
                    is_stalled.set()
                    socket.socket.shutdown(conn.sock, socket.SHUT_RD)
                    return
                if is_sending:
                    answer = stalled().to_bytes(family=conn.family)
                    conn.sock.send(answer, socket.MSG_DONTWAIT)
                conn.sock.shutdown(socket.SHUT_RDWR)

        self._deadlines.begin(shut_down)
        try:
            is_kept: Any = super().handle(conn)
            if conn.has_request or not is_stalled.is_set():
                return is_kept
            with contextlib.suppress(OSError):
                conn.sock.sendall(stalled().to_bytes(family=conn.family))
            return False
        finally:
            self._deadlines.end()

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.has_request = True
        conn.family = family_of(req.path, prefix=self._prefix)
        if req._expected_100_continue:
            req._expected_100_continue = False
            req.body = AwaitedBody(req.body, conn.sock)
        is_asked, is_last = asks_to_close(req.headers), req.should_close
        # gunicorn asks while it writes the head, afterwards, and before the next request, which has
        # to be answered where the head has not said that none is.
        is_stopping = cache(lambda: not self.alive)
        req.should_close = lambda: is_asked or is_last() or must_close(req.body) or is_stopping()
        return super().handle_request(req, conn)

    def handle_error(self, _req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer an error outside of the application; the caller closes the connection."""
        if isinstance(exc, ssl.SSLError):
            self.log.info("no TLS from %s: %s", addr, exc)
            if exc.reason == PLAIN_HTTP:
                with contextlib.suppress(OSError):
                    socket.socket.sendall(client, needs_tls().to_bytes())
            return
        if is_malformed(exc):
            self.log.info("malformed request from %s: %s", addr, exc)
        else:
            self.log.error("a request failed outside the application", exc_info=exc)
        conn = getattr(self._served, "conn", None)
        family = DEFAULT if conn is None else conn.family
        with contextlib.suppress(OSError):  # the client has gone
            client.sendall(refuse(exc).to_bytes(family=family))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called once or more when others take this worker's place, and when the master stops."""
        self._drain.tell(is_stop=self.tmp.is_stop_announced)
        super().handle_exit(sig, frame)

    def set_accept_enabled(self, enabled: bool) -> None:
        """When stopping, also close the listeners: new clients are refused, not left hanging."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                self._accept_waiting(listener)
                listener.close()

    def _accept_waiting(self, listener: socket.socket) -> None:
        """Accept who came before the stop: the last process that closes a listener resets them."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        with contextlib.suppress(OSError):  # no more descriptors
            while self.nr_conns < self.worker_connections and poll.poll(0):
                super().accept(listener)
