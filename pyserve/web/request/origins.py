"""`--allowed-host`, `--cors-origin`: checks the Host and Origin headers, and answers preflights.

A page of another site can make a browser send requests to a server on the same machine: by its
address, which Origin shows, or by DNS rebinding (its own name pointed here), which Host shows.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, Response, request

from pyserve.config import ServeConfig, is_loopback
from pyserve.errors import PermissionDeniedError
from pyserve.web.request.refusal import MalformedRequestError
from pyserve.web.request.services import services

ANY = "*"
# Characters of RFC 3986, section 3.2.2, and underscores, which names of containers have.
_AUTHORITY = re.compile(r"(?:[\w.~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.ASCII)
PREFLIGHT_AGE_S = 600
ALLOWED_METHODS = "GET, POST, DELETE, OPTIONS"
ALLOWED_HEADERS = "Authorization, Content-Type, X-Api-Key, X-Request-Id, X-Request-Timeout"
EXPOSED_HEADERS = "X-Request-Id, X-Model-Resolved, Retry-After"


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
    if ANY in config.allowed_host or not (config.allowed_host or is_loopback(config.host)):
        return True
    if name in {config.host.lower(), *map(str.lower, config.allowed_host)}:
        return True
    return "." not in name or name.endswith(".localhost") or _is_address(name)


def host_name(authority: str) -> str:
    """The host in `host:port`, lower case, without brackets; "" if there is none."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _check() -> Response | None:
    config = services().config
    host = request.environ.get("HTTP_HOST", "")
    if not host and request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
        raise MalformedRequestError("a request of HTTP/1.1 needs a Host header", param="Host")
    if host and not _AUTHORITY.fullmatch(host):
        raise MalformedRequestError(f"the Host header {host[:100]!r} is no host", param="Host")
    for name in filter(None, (host, _target_host())):
        if is_ours(host_name(name), config):
            continue
        raise HostNotAllowedError(
            f"the host {name[:100]!r} is not a name of this server (--allowed-host adds one)"
        )
    origin = request.headers.get("Origin")
    if origin is None:
        return None
    if not _is_own(origin, host) and not _is_listed(origin, config.cors_origin):
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


def _target_host() -> str:
    """The host in a request target that is a whole URL; it counts more than the header."""
    scheme, separator, rest = str(request.environ.get("RAW_URI", "")).partition("://")
    return rest.split("/", 1)[0] if separator and scheme.isalpha() else ""


def _is_own(origin: str, host: str) -> bool:
    _, separator, authority = origin.partition("://")
    return bool(separator) and authority.lower() == host.lower() != ""


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
