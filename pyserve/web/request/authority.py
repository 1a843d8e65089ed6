"""The server's name and scheme as a request has them, also behind proxies; whether an origin is it.

Source: RFC 9110, 4.2 and 7.2 (Host, default ports); RFC 6454, 4 and 5 (origins); RFC 7239 and the
X-Forwarded headers, which count from trusted proxies alone: anybody can send them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pyserve.config import UNIX_PEERS
from pyserve.web.request.refusal import MalformedRequestError

# Characters of RFC 3986, section 3.2.2, and underscores, which names of containers have.
_AUTHORITY = re.compile(r"(?:[\w.~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.ASCII)
_PORT = re.compile(r":([0-9]{1,5})$")
_PREFIX = re.compile(r"(?:/[\w~-][\w.~-]*)*", re.ASCII)
MAX_PREFIX_CHARS = 256
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Asked:
    """Whom a request asks. names: `host:port` from every place that has one, the best one last.

    scheme: that of the client's URL; "" if a proxy may have changed it.
    """

    names: tuple[str, ...]
    scheme: str = ""

    @property
    def authority(self) -> str:
        """The name that the client used; "" if it is not known."""
        return self.names[-1] if self.names else ""


def asked_for(environ: Mapping[str, Any], trusted: Iterable[str]) -> Asked:
    """Whom the request of a WSGI environment asks. trusted: `--trusted-proxy`.

    Raises MalformedRequestError for a Host that is missing or no host.
    """
    host = str(environ.get("HTTP_HOST", ""))
    if not host and environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
        raise MalformedRequestError("a request of HTTP/1.1 needs a Host header", param="Host")
    if host and not _AUTHORITY.fullmatch(host):
        raise MalformedRequestError(f"the Host header {host[:100]!r} is no host", param="Host")
    names = [host, _target_host(str(environ.get("RAW_URI", "")))]
    scheme = "https" if environ.get("wsgi.url_scheme") == "https" else ""
    if is_trusted(str(environ.get("REMOTE_ADDR", "")), trusted):
        forwarded_host, forwarded_scheme = _forwarded(environ)
        names.append(forwarded_host)
        scheme = forwarded_scheme or scheme
    return Asked(tuple(filter(None, names)), scheme)


def prefix_before(environ: Mapping[str, Any], trusted: Iterable[str]) -> str:
    """The path that a trusted proxy has cut off before ours, such as `/llm`; "" if none."""
    if not is_trusted(str(environ.get("REMOTE_ADDR", "")), trusted):
        return ""
    prefix = _last(environ, "HTTP_X_FORWARDED_PREFIX").rstrip("/")
    return prefix if len(prefix) <= MAX_PREFIX_CHARS and _PREFIX.fullmatch(prefix) else ""


def host_name(authority: str) -> str:
    """The host in `host:port`, lower case, without brackets; "" if there is none."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def origin_host(origin: str) -> str:
    """The host of an origin of the web, as `host_name`; "" of `null` and other schemes."""
    scheme, separator, authority = origin.partition("://")
    return host_name(authority) if separator and scheme in DEFAULT_PORTS else ""


def is_same_origin(origin: str, asked: Asked) -> bool:
    """Whether a page of `origin` is the server's own: equal hosts, ports, and, if known, schemes.

    A port that is left out is the default one of the origin's scheme.
    """
    scheme, _, authority = origin.partition("://")
    host = origin_host(origin)
    if not host or host != host_name(asked.authority) or asked.scheme not in ("", scheme):
        return False
    return _port(authority, scheme) == _port(asked.authority, scheme)


def is_trusted(peer: str, trusted: Iterable[str]) -> bool:
    """Whether the peer's address is one of `trusted`, or in one of its networks.

    peer: "" is a client of a Unix socket.
    """
    if not peer:
        return UNIX_PEERS in trusted
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    networks = (ipaddress.ip_network(each) for each in trusted if each != UNIX_PEERS)
    return any(address in network for network in networks)


def _target_host(uri: str) -> str:
    """The host in a request target that is a whole URL; it counts more than the header."""
    scheme, separator, rest = uri.partition("://")
    return rest.split("/", 1)[0] if separator and scheme.isalpha() else ""


def _forwarded(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Host and scheme as the nearest proxy tells them: it adds its own at the end."""
    said = _parameters(_last(environ, "HTTP_FORWARDED"))
    host = _last(environ, "HTTP_X_FORWARDED_HOST") or said.get("host", "")
    scheme = (_last(environ, "HTTP_X_FORWARDED_PROTO") or said.get("proto", "")).lower()
    port = _last(environ, "HTTP_X_FORWARDED_PORT")
    if host and port.isdecimal() and not _PORT.search(host):
        host = f"{host}:{port}"
    return host, scheme if scheme in DEFAULT_PORTS else ""


def _last(environ: Mapping[str, Any], name: str) -> str:
    return str(environ.get(name, "")).rpartition(",")[2].strip()


def _parameters(element: str) -> dict[str, str]:
    """The pairs of one element of the header Forwarded."""
    pairs = (part.partition("=") for part in element.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _port(authority: str, scheme: str) -> int:
    found = _PORT.search(authority)
    return int(found[1]) if found else DEFAULT_PORTS[scheme]
