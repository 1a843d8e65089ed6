"""Handles the fronts' requests on the control socket: leases, load, unload, reload."""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable, Sequence
from pathlib import Path

from pyserve.backend.messages import Acquire, Load, Release, Reload, Reply, Request, Unload
from pyserve.errors import ErrorInfo, InvalidRequestError, PyserveError
from pyserve.supervisor.control import ControlServer, Subscriber
from pyserve.supervisor.pool import ModelPool
from pyserve.supervisor.spec import ModelSpec

Replan = Callable[[], Sequence[ModelSpec]]

log = logging.getLogger(__name__)


class FrontDesk:
    """Owns the control socket and has the pool do what fronts ask. Thread: the supervisor's loop.

    replan: reads the configuration again; None: it stays as it is.
    """

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        pool: ModelPool,
        replan: Replan | None,
    ) -> None:
        self.control = ControlServer(path, selector, self)
        self._pool = pool
        self._replan = replan
        self._replies: list[tuple[Subscriber, Reply]] = []

    def on_request(self, front: Subscriber, request: Request) -> None:
        """As in `RequestHandler`."""

        def tell(reply: Reply) -> None:
            self._replies.append((front, reply))

        match request:
            case Acquire():
                self._pool.acquire(front, request, tell)
            case Release(call_id=call_id):
                self._pool.release(front, call_id)
            case Load():
                self._pool.load(request, tell)
            case Unload():
                self._pool.unload(front, request, tell)
            case Reload(call_id=call_id):
                tell(Reply(call_id=call_id, error=self.reload()))

    def send_replies(self) -> None:
        """Send the replies that are due.

        Called after the statuses were sent: with a reply, a front knows the states it led to.
        """
        replies, self._replies = self._replies, []
        for front, reply in replies:
            self.control.reply(front, reply)

    def on_gone(self, front: Subscriber) -> None:
        """As in `RequestHandler`."""
        self._pool.drop(front)

    def reload(self) -> ErrorInfo | None:
        """Serve the models that the configuration names now; unchanged ones keep running.

        When it cannot be used nothing changes, and the reason is logged and returned.
        """
        try:
            if self._replan is not None:
                self._pool.configure(self._replan())
        except PyserveError as error:
            info = error.to_info()
        except OSError as error:
            info = InvalidRequestError(str(error)).to_info()
        else:
            return None
        log.error("the models are unchanged, their reload failed: %s", info.message)
        return info
