"""The servers of this user on this machine, as their runtime directories tell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pyserve.backend.runtime import PREFIX, runtime_base, try_lock

RECORD_NAME = "server.json"


class LocalServer(msgspec.Struct, frozen=True):
    """A running server. pid: of its supervisor. url: http(s)://, or unix: and the path of its
    socket. log_file: "" if it logs to its terminal or service manager. started: Unix time.
    """

    pid: int
    url: str
    version: str
    started: float
    log_file: str = ""


def write_record(directory: Path, server: LocalServer) -> None:
    """Tell other programs of this user about the server of this runtime directory."""
    part = directory / f"{RECORD_NAME}.part"
    part.write_bytes(msgspec.json.encode(server))
    part.replace(directory / RECORD_NAME)


def local_servers(base: Path | None = None) -> list[LocalServer]:
    """Those that run, the oldest first."""
    return sorted(_found(base or runtime_base()), key=lambda server: server.started)


def _found(base: Path) -> Iterator[LocalServer]:
    for directory in base.glob(PREFIX + "*"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if directory.lstat().st_uid == os.getuid() and _is_locked(directory):
                data = (directory / RECORD_NAME).read_bytes()
                yield msgspec.json.decode(data, type=LocalServer)


def _is_locked(directory: Path) -> bool:
    fd = try_lock(directory)
    if fd is None:
        return True
    os.close(fd)
    return False
