"""The control socket: sends fronts the models' statuses, and handles their requests."""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable, Sequence
from pathlib import Path

from pyserve.backend.messages import (
    Acquire,
    FrontMessage,
    Load,
    Models,
    Release,
    Reload,
    Reply,
    Unload,
    front_decoder,
)
from pyserve.backend.protocol import ModelStatus
from pyserve.engine.remote.frame_server import FrameServer, Front
from pyserve.errors import ErrorInfo, InvalidRequestError, PyserveError
from pyserve.process.sockets import listen
from pyserve.supervisor.pool import ModelPool
from pyserve.supervisor.spec import ModelSpec

MAX_QUEUED_BYTES = 32 << 20  # prompt templates are in it

Replan = Callable[[], Sequence[ModelSpec]]

log = logging.getLogger(__name__)


class FrontDesk:
    """Listens at `path`, and has the pool do what fronts ask. Thread: the supervisor's loop.

    selector: its loop calls the `data` of ready keys, as `FrameServer` says.
    replan: reads the configuration again; None: it stays as it is.
    """

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        pool: ModelPool,
        replan: Replan | None,
    ) -> None:
        self.path = path
        self._models = Models(models=[])
        self._server = FrameServer(
            listen(path), selector, self, front_decoder, max_queued_bytes=MAX_QUEUED_BYTES
        )
        self._pool = pool
        self._replan = replan
        self._replies: list[tuple[Front, Reply]] = []

    @property
    def n_fronts(self) -> int:
        """Fronts that are connected and have said Hello."""
        return sum(front.has_greeted for front in self._server.fronts)

    def publish(self, models: list[ModelStatus]) -> None:
        """Send the statuses to every front, and to those that come later."""
        self._models = Models(models=models)
        for front in self._server.fronts:
            front.send(self._models)
        self._server.tend()

    def close(self) -> None:
        self._server.close()
        self.path.unlink(missing_ok=True)

    def on_front(self, front: Front) -> None:
        """As in `FrontHandler`."""
        front.send(self._models)

    def on_message(self, front: Front, message: FrontMessage) -> None:
        """As in `FrontHandler`."""

        def tell(reply: Reply) -> None:
            self._replies.append((front, reply))

        match message:
            case Acquire():
                self._pool.acquire(front, message, tell)
            case Release(call_id=call_id):
                self._pool.release(front, call_id)
            case Load():
                self._pool.load(message, tell)
            case Unload():
                self._pool.unload(front, message, tell)
            case Reload(call_id=call_id):
                tell(Reply(call_id=call_id, error=self.reload()))

    def send_replies(self) -> None:
        """Send the replies that are due.

        Called after the statuses were sent: with a reply, a front knows the states it led to.
        """
        replies, self._replies = self._replies, []
        for front, reply in replies:
            front.send(reply)
        self._server.tend()

    def on_gone(self, front: Front) -> None:
        """As in `FrontHandler`: it waits for no replies, and its leases end."""
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
