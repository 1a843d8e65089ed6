"""Main of a follower: `python -m pyserve.cluster.follower ADDRESS`.

Knows Ray in place of a front, which thus outlives whatever becomes of Ray: tells on standard output
which replicas there are, as frames of `views.News`, and does on standard input what the front
wishes. Ends when its standard input does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import Any

import msgspec

from pyserve.cluster.app import scale_to
from pyserve.cluster.connection import join
from pyserve.cluster.views import (
    APP_PREFIX,
    Directory,
    ModelView,
    News,
    ReplicaView,
    Trouble,
    wish_decoder,
)
from pyserve.engine.remote.wire import encode
from pyserve.errors import InvalidRequestError, PyserveError
from pyserve.process.logs import configure_logs
from pyserve.process.sockets import RECV_BYTES

LOOK_S = 1.0
# While a replica is started that a request waits for, looks delay it by a tenth at most.
WAKING_LOOK_S, WAKING_SHARE = 0.1, 0.1
RETRY_S = 2.0
ANSWER_S = 2.0  # for a replica to describe itself
WAKE_S = 15.0  # a replica that is started is seen by then
KEEP_S = 10.0  # so long a replica stays known that does not answer, although Ray has it

log = logging.getLogger(__name__)


class ReplicaBook:
    """The replicas of one model that answered, and for a while those that did not. One thread."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[ReplicaView, float]] = {}

    def note(self, answers: list[ReplicaView], n_silent: int, now: float) -> list[ReplicaView]:
        """The replicas now. n_silent: those of Ray's list that did not answer."""
        kept = {name: entry for name, entry in self._seen.items() if n_silent and entry[1] > now}
        self._seen = kept | {view.replica_id: (view, now + KEEP_S) for view in answers}
        return sorted((view for view, _ in self._seen.values()), key=lambda view: view.replica_id)

    @property
    def views(self) -> list[ReplicaView]:
        return sorted((view for view, _ in self._seen.values()), key=lambda view: view.replica_id)


class WakeBook:
    """Models without replicas for which one is being started. Any thread; times by the caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._woken_at: dict[str, float] = {}

    def may_wake(self, name: str, now: float) -> bool:
        """Notes that it is woken, unless it is being woken already."""
        with self._lock:
            if now - self._woken_at.get(name, -WAKE_S) < WAKE_S:
                return False
            self._woken_at[name] = now
            return True

    def forget(self, name: str) -> None:
        """It has a replica, or is gone."""
        with self._lock:
            self._woken_at.pop(name, None)

    def look_in_s(self, now: float) -> float:
        """How soon to look again."""
        with self._lock:
            ages = [now - woken_at for woken_at in self._woken_at.values()]
        soon = [max(WAKING_SHARE * age, WAKING_LOOK_S) for age in ages if age < WAKE_S]
        return min([LOOK_S, *soon])


class Follower:
    """Looks at Ray Serve. Thread: `wake` any, the others one."""

    def __init__(self, serve: Any) -> None:
        self._serve = serve
        self._handles: dict[str, Any] = {}
        self._books: dict[str, ReplicaBook] = {}
        self._waking = WakeBook()
        self._waiting: dict[str, Any] = {}  # nobody awaits its answer
        self._has_woken = threading.Event()

    def look(self) -> Directory:
        """All deployed models. Raises what Ray does when it does not answer."""
        apps = {
            name: app
            for name, app in self._serve.status().applications.items()
            if name.startswith(APP_PREFIX)
        }
        for name in self._handles.keys() - apps.keys():
            del self._handles[name], self._books[name]
            self._waking.forget(name)
        return Directory(
            models=[
                ModelView(
                    model_id=name.removeprefix(APP_PREFIX),
                    state=str(getattr(app.status, "value", app.status)),
                    message=_message(app),
                    replicas=self._replicas(name),
                )
                for name, app in sorted(apps.items())
            ]
        )

    def wake(self, model_id: str) -> None:
        """Have Ray start a replica of a model without any; asked again too soon it does nothing."""
        app = APP_PREFIX + model_id
        book = self._books.get(app)
        if book is None or book.views or not self._waking.may_wake(app, time.monotonic()):
            return
        self._has_woken.set()
        try:
            scale_to(self._serve, model_id, 1)
        except InvalidRequestError:  # its number follows its work: a call that waits is some
            self._waiting[app] = self._handles[app].describe.remote()

    def wait(self) -> None:
        """Until it is time to look again."""
        self._has_woken.wait(self._waking.look_in_s(time.monotonic()))
        self._has_woken.clear()

    def _replicas(self, app: str) -> list[ReplicaView]:
        book = self._books.setdefault(app, ReplicaBook())
        if book.views:
            self._waking.forget(app)
        try:
            if app not in self._handles:
                self._handles[app] = self._serve.get_app_handle(app)
            answers = (
                self._handles[app]
                .broadcast("describe")
                .results(timeout_s=ANSWER_S, return_exceptions=True)
            )
        except Exception as error:
            if type(error).__name__ == "DeploymentUnavailableError":
                return book.note([], 0, time.monotonic())
            log.debug("%s: %r", app, error)
            return book.views
        views = [
            msgspec.msgpack.decode(answer, type=ReplicaView)
            for answer in answers
            if isinstance(answer, bytes)
        ]
        return book.note(views, len(answers) - len(views), time.monotonic())


def _message(app: Any) -> str:
    """Why a model does not come up; "" if it does."""
    texts = [app.message, *(each.message for each in app.deployments.values())]
    return " ".join(text for text in texts if text)[-2000:]


class Teller:
    """Writes frames to the front, each when it is news. One thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._told: News | None = None

    def tell(self, news: News) -> None:
        """Ends this process when the front has gone."""
        if news == self._told:
            return
        self._told = news
        data = encode(news)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            os._exit(0)


def obey(follower: Follower) -> None:
    """Do what the front wishes until it is gone, then end this process. A thread of its own."""
    decoder = wish_decoder()
    while data := os.read(0, RECV_BYTES):
        for wish in decoder.feed(data):
            try:
                follower.wake(wish.model_id)
            except Exception as error:
                log.warning("%s cannot be woken: %r", wish.model_id, error)
    os._exit(0)


def main(argv: list[str]) -> int:
    told = os.dup(1)
    os.dup2(2, 1)  # whatever Ray prints
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logs("info", "text", "follower")
    teller = Teller(told)
    try:
        join(argv[1])
        from ray import serve  # noqa: PLC0415  # an extra
    except PyserveError as error:
        teller.tell(Trouble(message=error.message))
        return 1
    follower = Follower(serve)
    threading.Thread(target=obey, args=(follower,), name="wishes", daemon=True).start()
    while True:
        try:
            teller.tell(follower.look())
        except Exception as error:
            log.warning("Ray does not answer: %r", error)
            time.sleep(RETRY_S)
        follower.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
