"""Requests that do not come over a connection: the server's own, and those of the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyserve.engine.protocol import Engine
from pyserve.web.keys.keys import ApiKey
from pyserve.web.request.disconnect import ClientWatch

_KEY = "pyserve.inside"
BACKGROUND_HEADER = "X-Background"


def as_it_is(engine: Engine) -> Engine:
    return engine


@dataclass(frozen=True)
class Inside:
    """Such a request. key: it counts for; None: where none is needed.

    check: raises ClientGoneError when nobody wants its answer any more. is_background: it runs only
    while no others do. with_engine: what is put in front of the engine that computes it.
    """

    key: ApiKey | None
    check: Callable[[], None]
    is_background: bool = True
    with_engine: Callable[[Engine], Engine] = as_it_is

    def mark(self, environ: dict[str, Any]) -> None:
        """Make of a WSGI environment that of this request."""
        environ[_KEY] = self


class InsideWatch(ClientWatch):
    """Asks the one who made the request."""

    def __init__(self, inside: Inside) -> None:
        super().__init__({})
        self._inside = inside

    def check(self) -> None:
        self._inside.check()


def inside_of(environ: Mapping[str, Any]) -> Inside | None:
    """What `mark` has made of it; None: the request came from outside."""
    found: Inside | None = environ.get(_KEY)
    return found
