"""`--host`, `--port`: opens the listening socket before anything else starts."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from pyserve.errors import UnavailableError

BACKLOG = 256
LAST_PRIVILEGED_PORT = 1023


def bind_listener(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not listening yet; port 0 takes a free one.

    Raises UnavailableError with advice.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UnavailableError(f"--host {host}: no such address ({error})") from error
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _is_taken(family, address):
            raise OSError(errno.EADDRINUSE, "")
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UnavailableError(explain(host, port, error)) from error
    return listener


def listen(listener: socket.socket, host: str) -> None:
    """Begin to accept connections. Raises UnavailableError."""
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise UnavailableError(explain(host, listener.getsockname()[1], error)) from error


def explain(host: str, port: int, error: OSError) -> str:
    """Explains why the address cannot be bound, and what to do about it."""
    where = f"port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is taken by another program: choose another one with --port, or let the "
            f"system choose with --port 0 (who has it: ss -ltnp 'sport = :{port}')"
        )
    if error.errno == errno.EACCES and port <= LAST_PRIVILEGED_PORT:
        return f"{where} is reserved for root: choose one above {LAST_PRIVILEGED_PORT} with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: choose another one with --host"
    return f"{where} cannot be opened: {os.strerror(error.errno or 0)}"


def _is_taken(family: int, address: object) -> bool:
    """Whether another socket listens there.

    Two sockets with SO_REUSEADDR may be bound to one port until the first of them listens; without
    the option the bind fails at once, but also for a port that is merely closing.
    """
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)  # type: ignore[arg-type]
            probe.listen(1)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
