"""URLs of this server as the client of the current request knows it, also behind proxies."""

from __future__ import annotations

from flask import request

from pyserve.web.request.authority import asked_for, prefix_before
from pyserve.web.request.services import services


def shown_prefix() -> str:
    """What stands before our paths where the client is: a proxy's own, and `--api-prefix`."""
    config = services().config
    return prefix_before(request.environ, config.trusted_proxy) + config.api_prefix


def own_url(path: str) -> str:
    """The whole URL of a path."""
    asked = asked_for(request.environ, services().config.trusted_proxy)
    return f"{asked.scheme or 'http'}://{asked.authority or 'localhost'}{shown_prefix()}{path}"
