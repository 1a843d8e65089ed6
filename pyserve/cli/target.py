"""Which running server a command talks to."""

from __future__ import annotations

import click

from pyserve.backend.local_servers import LocalServer, local_servers
from pyserve.client.server import NoServerError, Server
from pyserve.errors import InvalidRequestError

url_option = click.option(
    "--url",
    envvar="PYSERVE_URL",
    help="A running server: http://host:port, or unix:/path of its socket [$PYSERVE_URL].",
)
key_option = click.option(
    "--key", envvar="PYSERVE_KEY", default="", help="Its API key [$PYSERVE_KEY]."
)


def the_server(url: str | None, key: str) -> Server:
    """The one at `url`, or else the one that runs here.

    Raises NoServerError or InvalidRequestError: there is none, or more than one.
    """
    return Server(url or the_local_server().url, key)


def the_local_server() -> LocalServer:
    """The server of this user on this machine; raises as `the_server` does."""
    servers = local_servers()
    if not servers:
        raise NoServerError("no server of yours runs here; name another one with --url")
    if len(servers) > 1:
        urls = ", ".join(server.url for server in servers)
        raise InvalidRequestError(f"several servers run here; choose with --url: {urls}")
    return servers[0]
