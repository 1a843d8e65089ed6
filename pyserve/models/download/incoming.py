"""The download directory `.incoming`: locked `.part` files, verified by SHA-256 and format."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pyserve.gguf.check import check_model_file
from pyserve.gguf.head import check_gguf
from pyserve.models.download.sources import DiskFullError, PullError, file_size

WORK = ".incoming"


def hash_file(path: Path) -> str:
    """The sha256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(part: Path, sha256: str | None) -> None:
    """Raise PullError, and drop the part, if it does not have this hash."""
    if sha256 is None:
        return
    actual = hash_file(part)
    if actual != sha256.lower():
        size_bytes = file_size(part)
        part.unlink()
        raise PullError(
            f"the content is not what was expected: sha256 {actual} ({size_bytes:,} bytes) "
            f"instead of {sha256.lower()}; it was thrown away"
        )


def remember_hash(path: Path, sha256: str) -> None:
    """Keep the hash of a file that was just got, for as long as the file stays as it is."""
    status = path.stat()
    text = f"{sha256.lower()} {status.st_size} {status.st_mtime_ns}\n"
    _hash_path(path).write_text(text, encoding="ascii")


def remembered_hash(path: Path) -> str | None:
    """The hash that `remember_hash` kept; None if there is none, or the file is another one now."""
    try:
        sha256, *stamp = _hash_path(path).read_text(encoding="ascii").split()
        status = path.stat()
    except (OSError, ValueError):
        return None
    return sha256 if stamp == [str(status.st_size), str(status.st_mtime_ns)] else None


def _hash_path(path: Path) -> Path:
    return path.parent / WORK / f"{path.name}.sha256"


def check_format(part: Path) -> None:
    """Raise ModelLoadError, and drop the part, if it is no model file."""
    try:
        check_gguf(part)
        check_model_file(part)
    except Exception:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def incoming(target: Path, output: TextIO) -> Iterator[Path]:
    """The `.part` path of a file, locked; says so in `output` when another process holds it.

    Raises PullError when it cannot be written.
    """
    work = target.parent / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with (work / f"{target.name}.lock").open("w") as lock:
            _lock(lock, target.name, output)
            yield work / f"{target.name}.part"
    except OSError as error:
        if error.errno == errno.ENOSPC:
            free = shutil.disk_usage(work).free
            raise DiskFullError(f"the disk of {work} is full: {free:,} bytes free") from error
        reason = error.strerror or error
        where = error.filename or work
        raise PullError(f"cannot write {where}: {reason}; choose another --models-dir") from error


def _lock(stream: TextIO, name: str, output: TextIO) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        output.write(f"another process is getting {name}; waiting for it\n")
        fcntl.flock(stream, fcntl.LOCK_EX)
