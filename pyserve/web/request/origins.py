"""`--allowed-host`, `--cors-origin`: checks the Host and Origin headers, and answers preflights.

A page of another site can make a browser send requests to a server on the same machine: by its
address, which Origin shows, or by DNS rebinding (its own name pointed here), which Host shows.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from flask import Flask, Response, request

from pyserve.config import ServeConfig, is_local
from pyserve.errors import PermissionDeniedError
from pyserve.web.request.access import RATE_LIMIT_HEADERS
from pyserve.web.request.authority import (
    Asked,
    asked_for,
    host_name,
    is_same_origin,
    origin_host,
)
from pyserve.web.request.families import FAMILIES
from pyserve.web.request.notes import NOTE_HEADERS
from pyserve.web.request.services import services

ANY = "*"
PREFLIGHT_AGE_S = 600
ALLOWED_METHODS = "GET, POST, DELETE, OPTIONS"
ALLOWED_HEADERS = (
    "Authorization, Content-Type, X-Api-Key, X-Background, X-Request-Id, X-Request-Timeout, "
    "X-Session-Id"
)
ID_HEADERS = tuple(each.id_header for each in FAMILIES if each.id_header)
EXPOSED_HEADERS = ", ".join((*NOTE_HEADERS, *ID_HEADERS, "Retry-After", *RATE_LIMIT_HEADERS))


class HostNotAllowedError(PermissionDeniedError):
    """The Host header is none of the server's allowed names."""

    code = "host_not_allowed"


class OriginNotAllowedError(PermissionDeniedError):
    """The request comes from a web page whose origin is not allowed."""

    code = "origin_not_allowed"


def install(app: Flask) -> None:
    """Refuse foreign hosts and origins, answer preflights, and let listed origins read answers."""
    app.before_request(_check)
    app.after_request(_add_headers)


def is_ours(name: str, config: ServeConfig) -> bool:
    """Whether the server may be called by `name`, lower case and without port.

    DNS rebinding needs a name that an attacker can register, unlike addresses, names without a dot
    and those below `localhost`.
    """
    if ANY in config.allowed_host or not (config.allowed_host or is_local(config.host)):
        return True
    if name in {config.host.lower(), *map(str.lower, config.allowed_host)}:
        return True
    return "." not in name or name.endswith(".localhost") or _is_address(name)


def _check() -> Response | None:
    config = services().config
    asked = asked_for(request.environ, config.trusted_proxy)
    for name in asked.names:
        if is_ours(host_name(name), config):
            continue
        raise HostNotAllowedError(
            f"the host {name[:100]!r} is not a name of this server (--allowed-host adds one)"
        )
    origin = request.headers.get("Origin")
    if origin is None:
        return None
    if not _is_own(origin, asked, config) and not _is_listed(origin, config.cors_origin):
        raise OriginNotAllowedError(
            f"pages of {origin[:100]!r} may not use this server (--cors-origin allows them)"
        )
    is_preflight = "Access-Control-Request-Method" in request.headers
    return Response(status=204) if request.method == "OPTIONS" and is_preflight else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_own(origin: str, asked: Asked, config: ServeConfig) -> bool:
    """Whether the page is ours, by the names that the request has, or because the browser says so.

    Pages cannot set Sec-Fetch-Site (Fetch Metadata, 2.3). It is true also behind a proxy that hides
    the server's name; and for a page of DNS rebinding, whose name is none of ours.
    """
    if is_same_origin(origin, asked):
        return True
    is_said = request.headers.get("Sec-Fetch-Site") == "same-origin"
    host = origin_host(origin)
    return is_said and bool(host) and is_ours(host, config)


def _is_listed(origin: str, listed: Collection[str]) -> bool:
    return ANY in listed or origin in listed


def _add_headers(response: Response) -> Response:
    listed = services().config.cors_origin
    if not listed:
        return response
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or not _is_listed(origin, listed):
        return response
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
        response.headers["Access-Control-Allow-Headers"] = request.headers.get(
            "Access-Control-Request-Headers", ALLOWED_HEADERS
        )
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_AGE_S)
    return response
