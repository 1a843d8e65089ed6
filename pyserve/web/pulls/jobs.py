"""Pulls that go on when their request has been answered, and who looks at them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from pyserve.errors import CancelledError, ErrorInfo, NotFoundError, UnavailableError
from pyserve.memory.pulls import FileShare, Pulls, PullState
from pyserve.models.copies import add_name
from pyserve.models.download.progress import Progress
from pyserve.models.download.remote import Pull
from pyserve.openai.ids import new_item_id
from pyserve.web.pulls.pull import Place, models_directory, pull_model
from pyserve.web.request.access import require_owner
from pyserve.web.request.errors import describe
from pyserve.web.request.services import Services, services

log = logging.getLogger(__name__)

EVERY_S = 0.25
COMPLETED = "completed"
CANCELLED = "cancelled; asked for again, the model is got from where it was"


def the_pulls() -> Pulls:
    """Raises UnavailableError where their file cannot be used."""
    pulls = services().memory.pulls
    if pulls is None:
        raise UnavailableError("the directory of stored responses cannot be used")
    return pulls


def the_job(job_id: str) -> PullState:
    """Raises NotFoundError."""
    state = the_pulls().get(job_id)
    if state is None:
        raise NotFoundError("there is no pull of this id", param="job_id")
    return state


def begin(model: str, get: Pull, name: str | None = None) -> PullState:
    """Begin to get a model; one that is being got already goes on. name: a further one for it.

    Raises QueueFullError, and NotSupportedError where none can be got.
    """
    pulls, parts = the_pulls(), services()
    models_directory(parts)
    running = pulls.running(model)
    if running is not None:
        return running
    place = Place()
    state = PullState(id=new_item_id("pull"), model=model, created=time.time())
    try:
        pulls.add(state)
        job = _Job(state, pulls, parts, name)
        threading.Thread(target=job.run, args=(get, place), name="pull", daemon=True).start()
    except BaseException:
        place.__exit__()
        raise
    return state


def cancel_of(model: str) -> bool:
    """Get a model no further, for whoever may have models got; whether it was being got."""
    pulls = services().memory.pulls
    running = None if pulls is None else pulls.running(model)
    if pulls is None or running is None:
        return False
    require_owner()
    pulls.cancel(running.id)
    return True


class _Job:
    """Implements `Shown`: tells in the store how far a pull is. One thread.

    Cancelled it ends before or within a file; when all are there, it ends as it would.
    """

    def __init__(
        self, state: PullState, pulls: Pulls, parts: Services, name: str | None = None
    ) -> None:
        self._state = state
        self._pulls = pulls
        self._parts = parts
        self._name = name

    def run(self, get: Pull, place: Place) -> None:
        """To its end, which is stored."""
        with place:
            try:
                path = pull_model(get, self._parts, self)
                served = self._served(path)
                if self._name is not None and served is not None:
                    add_name(models_directory(self._parts), self._name, served)
                    self._parts.backend.reload()
                told = self._state.message if served is None else COMPLETED
                self._set(status="finished", served=served, message=told)
            except CancelledError:
                self._set(status="cancelled", message=CANCELLED)
            except Exception as error:
                _, body = describe(error, self._state.id)
                told = body["error"]
                error_info = ErrorInfo(code=told["code"], message=told["message"])
                self._set(status="failed", message=told["message"], error=error_info)

    def say(self, text: str) -> None:
        self._set(message=text)

    def file(self, name: str, n_bytes: int | None, sha256: str | None) -> Progress:  # noqa: ARG002
        self.check()
        return _FileProgress(self, name, n_bytes)

    def check(self) -> None:
        """Raises CancelledError."""
        if self._pulls.is_cancelled(self._state.id):
            raise CancelledError("the pull was cancelled")

    def share(self, name: str, share: FileShare) -> None:
        self._set(files={**self._state.files, name: share})

    def _set(self, **changes: object) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        self._pulls.update(self._state)

    def _served(self, path: Path) -> str | None:
        """The id of the model of that file, where the server serves what is in the directory."""
        statuses = self._parts.backend.models()
        return next((each.id for each in statuses if Path(each.model_path) == path), None)


class _FileProgress:
    """Implements `Progress`."""

    def __init__(
        self,
        job: _Job,
        name: str,
        n_bytes: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = partial(job.share, name)
        self._check = job.check
        self._total = n_bytes
        self._done = 0
        self._clock = clock
        self._next_s = float("-inf")

    def set_total(self, total_bytes: int | None) -> None:
        if total_bytes is not None:
            self._total = total_bytes

    def update(self, n_bytes: int) -> None:
        self._check()
        self._done = n_bytes
        if self._clock() >= self._next_s:
            self._next_s = self._clock() + EVERY_S
            self._say(FileShare(self._done, self._total))

    def close(self) -> None:
        self._say(FileShare(self._done, self._total))
