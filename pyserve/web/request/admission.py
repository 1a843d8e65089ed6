"""Admits a generating request within its API key's limits and the worker's `--max-streams`."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, request

from pyserve.web.request.access import check_place, take_place
from pyserve.web.request.inside import inside_of
from pyserve.web.request.services import services
from pyserve.web.request.stream_limit import Permit


def install(app: Flask) -> None:
    """Refuse before the body is read what cannot be served now: refusals have to be cheap."""
    app.before_request(_refuse)


def _refuse() -> None:
    parts = services()
    if inside_of(request.environ) is not None:
        return
    if parts.endpoints.usecase(request.blueprint) is not None:
        parts.stream_limit.check()
        check_place()


def admit() -> Permit:
    """Never waits. Raises RateLimitError, or QueueFullError when the process is busy.

    What the server does itself has its own limit, and takes no place of others.
    """
    if inside_of(request.environ) is not None:
        return Permit(lambda: None)
    return _permit(take_place())


def admit_follower() -> Permit:
    """The same for a stream of what another request of its key computes."""
    return _permit(take_place(follows=True))


def _permit(give_back: Callable[[], None]) -> Permit:
    try:
        return services().stream_limit.acquire(give_back)
    except BaseException:
        give_back()
        raise
