"""Paths with empty segments, `/v1//models`, which clients make of a base URL that ends in `/`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

_SLASHES = re.compile("//+")


def install(app: Flask) -> None:
    """Serve them as if they had one slash; no redirects: clients do not follow a POST."""
    inner: Callable[[dict[str, Any], Any], Iterable[bytes]] = app.wsgi_app

    def merge(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if "//" in path:
            environ["PATH_INFO"] = _SLASHES.sub("/", path)
        return inner(environ, start_response)

    app.wsgi_app = merge  # type: ignore[method-assign]
