"""What of a request is taken otherwise than it stands there, before a view is chosen.

Paths with empty segments, `/v1//models`, which clients make of a base URL that ends in `/`; and the
wish for another protocol, which a server may ignore (RFC 9110, 7.8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

_SLASHES = re.compile("//+")


def install(app: Flask) -> None:
    """Serve paths as if they had one slash, without redirects: clients do not follow a POST.

    Of an upgrade nothing is said: Flask would look for a view of WebSockets, and find none.
    """
    inner: Callable[[dict[str, Any], Any], Iterable[bytes]] = app.wsgi_app

    def merge(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if "//" in path:
            environ["PATH_INFO"] = _SLASHES.sub("/", path)
        environ.pop("HTTP_UPGRADE", None)
        return inner(environ, start_response)

    app.wsgi_app = merge  # type: ignore[method-assign]
