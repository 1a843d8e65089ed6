"""`--host`, `--port`: opens the listening socket before anything else starts."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pyserve.config import ServeConfig
from pyserve.errors import UnavailableError

BACKLOG = 256
FIRST_PASSED_FD = 3  # source: sd_listen_fds(3)
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


def passed_listener() -> socket.socket | None:
    """The socket that systemd listens on for us (sd_listen_fds); None if it does not.

    Raises UnavailableError for several ones. May be called once.
    """
    is_ours = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    n_passed = os.environ.pop("LISTEN_FDS", "")
    if not is_ours:
        return None
    if n_passed != "1":
        raise UnavailableError(f"LISTEN_FDS: {n_passed} sockets were passed, one is served")
    os.set_inheritable(FIRST_PASSED_FD, False)
    return socket.socket(fileno=FIRST_PASSED_FD)


def at_address_of(listener: socket.socket, config: ServeConfig) -> ServeConfig:
    """The settings, with the address of a passed socket instead of theirs."""
    name = listener.getsockname()
    if isinstance(name, tuple):
        return config.model_copy(update={"host": name[0], "port": name[1]})
    return config.model_copy(update={"host": f"unix:{name}"})


@contextlib.contextmanager
def bound_listener(
    config: ServeConfig, passed: socket.socket | None = None
) -> Iterator[socket.socket]:
    """The listening socket of the settings, not listening yet; a socket file is removed after use.

    passed: it was made by others, who keep its file. Raises UnavailableError with advice.
    """
    if passed is not None:
        with passed:
            yield passed
        return
    if config.socket_path is None:
        with bind_listener(config.host, config.port) as listener:
            yield listener
        return
    with bind_unix(config.socket_path, int(config.socket_mode, 8)) as listener:
        inode = config.socket_path.stat().st_ino
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if config.socket_path.stat().st_ino == inode:
                    config.socket_path.unlink()


def bind_unix(path: Path, mode: int) -> socket.socket:
    """A socket bound to `path` with these access rights; takes over what a killed server left.

    Raises UnavailableError with advice.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_served(path):
            path.unlink()
        umask = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        finally:
            os.umask(umask)
    except OSError as error:
        listener.close()
        raise UnavailableError(_explain_unix(path, error)) from error
    return listener


def listen(listener: socket.socket, host: str) -> None:
    """Begin to accept connections. Raises UnavailableError."""
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        name = listener.getsockname()
        told = explain(host, name[1], error) if isinstance(name, tuple) else f"{host}: {error}"
        raise UnavailableError(told) from error


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


def _explain_unix(path: Path, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        what = "is served by another program" if path.is_socket() else "is no socket"
        return f"--host unix:{path}: the file is there and {what}: choose another path"
    return f"--host unix:{path}: cannot be made: {error.strerror or error}"


def _is_served(path: Path) -> bool:
    """Whether anybody listens on a socket file."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


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
