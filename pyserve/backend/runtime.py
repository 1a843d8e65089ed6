"""The private runtime directory with the Unix sockets of one running server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "pyserve-"
LOCK_NAME = "lock"
SHARED_MEMORY = "/dev/shm"
CONTROL_NAME = "supervisor.sock"
MAX_BASE_CHARS = 60  # the path of a Unix socket has at most 107 bytes
MIN_STALE_AGE_S = 60.0


def runtime_base() -> Path:
    """$XDG_RUNTIME_DIR if there is one, else a directory for temporary files.

    On a read-only root, shared memory may be all there is.
    """
    bases = [os.environ.get("XDG_RUNTIME_DIR"), SHARED_MEMORY]
    with contextlib.suppress(FileNotFoundError):
        bases.insert(1, tempfile.gettempdir())
    for base in bases:
        if base and len(base) <= MAX_BASE_CHARS and os.access(base, os.W_OK | os.X_OK):
            return Path(base)
    return Path("/tmp")


def create_runtime_dir(base: Path | None = None) -> Path:
    """Make a directory, mode 0700; removes those of killed servers on the way."""
    base = base or runtime_base()
    remove_stale(base)
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))


def try_lock(directory: Path) -> int | None:
    """Lock a runtime directory; the lock lasts as long as the returned file descriptor is open.

    Returns None when another process holds it. Raises OSError.
    """
    fd = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def remove_stale(base: Path) -> None:
    """Remove this user's runtime directories that nobody has locked."""
    for directory in base.glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            status = directory.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < MIN_STALE_AGE_S:
                continue
            if not (directory / LOCK_NAME).is_file():
                continue
            fd = try_lock(directory)
            if fd is not None:
                shutil.rmtree(directory, ignore_errors=True)
                os.close(fd)


@contextlib.contextmanager
def locked_runtime_dir(base: Path | None = None) -> Iterator[Path]:
    """A fresh, locked runtime directory, removed at the end."""
    directory = create_runtime_dir(base)
    fd = try_lock(directory)
    assert fd is not None, "a fresh directory is not locked"
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(fd)
