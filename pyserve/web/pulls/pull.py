"""Gets a model and has it served: for whoever asks, by whatever API."""

from __future__ import annotations

import threading
from pathlib import Path

from pyserve.errors import InvalidRequestError, NotSupportedError, QueueFullError
from pyserve.models.download.pull import PullOptions
from pyserve.models.download.remote import Pull
from pyserve.models.download.shown import SaidText, Shown
from pyserve.models.fitting import this_machine
from pyserve.web.request.services import Services

MAX_PULLS = 4  # at once in a front worker
MANIFEST, WRITING = "pulling manifest", "writing manifest"
NOT_SERVED = "it is not served: this server serves the models that it was started with"

_places = threading.BoundedSemaphore(MAX_PULLS)


class Place:
    """One of MAX_PULLS, from when it is made until it is left. Raises QueueFullError."""

    def __init__(self) -> None:
        if not _places.acquire(blocking=False):
            raise QueueFullError(f"{MAX_PULLS} models are being got already", retry_after_s=10)

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        _places.release()


def pull_model(get: Pull, parts: Services, shown: Shown) -> Path:
    """Get a model, and have it served if the server serves all that there is. Needs no Flask.

    It is in a Place meanwhile. Returns its file.
    """
    shown.say(MANIFEST)
    machine = this_machine(parts.config.memory_limit_mib)
    room = machine.room if machine.n_bytes else None
    options = PullOptions(
        models_directory(parts), output=SaidText(shown), room=room, show=shown.file
    )
    path = get(options)
    shown.say(WRITING)
    parts.backend.reload()
    if parts.config.models:
        shown.say(NOT_SERVED)
    return path


def models_directory(parts: Services) -> Path:
    """Raises NotSupportedError in front of a cluster, whose nodes have files of their own."""
    if parts.config.cluster:
        raise NotSupportedError("models of a cluster are got by `pyserve cluster deploy`")
    return parts.config.models_dir.expanduser().absolute()


def own_directory(parts: Services) -> Path:
    """The models directory, of a server that serves what is in it. Raises InvalidRequestError."""
    if parts.config.models:
        message = "this server serves the models that it was started with: start it without names"
        raise InvalidRequestError(message, param="model")
    return models_directory(parts)
