#!/usr/bin/env python3
"""Gets the pinned llama.cpp source into vendor/llama.cpp. Standard library only, Python >= 3.11.

    python vendor/fetch.py                 unpack what the build needs, unless it is there
    python vendor/fetch.py --with server   also unpack the reference server (benchmarks)
    python vendor/fetch.py --check         only say whether the unpacked tree is the pinned one

The package client downloads, the hash is verified before anything is unpacked, and the tree
appears by one rename: an interrupted run leaves the old tree or none, and the archive for the
next run. Several runs at once wait for each other.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

STAMP = ".pyserve-stamp.json"
BUILD_PART = "build"


class FetchError(Exception):
    """The tree could not be made; the message says what to do."""


@dataclass(frozen=True)
class Part:
    """A set of files, relative to the root of llama.cpp; see the rules in llama.cpp.toml."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]

    def takes(self, path: str) -> bool:
        return any(_matches(path, rule) for rule in self.include) and not any(
            _matches(path, rule) for rule in self.exclude
        )


@dataclass(frozen=True)
class Pin:
    """Which archive, where in it, and what to take. Sizes in bytes."""

    package: str
    version: str
    file: str
    sha256: str
    size_bytes: int
    unpacked_bytes: int
    root: str
    parts: dict[str, Part]


# Puts the file named `pin.file` into the directory; raises FetchError.
Download = Callable[[Pin, Path], None]


def load_pin(path: Path) -> Pin:
    """Read llama.cpp.toml."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    names = ("package", "version", "file", "sha256", "size_bytes", "unpacked_bytes", "root")
    parts = {
        name: Part(tuple(part["include"]), tuple(part["exclude"]))
        for name, part in data["parts"].items()
    }
    return Pin(**{name: data["source"][name] for name in names}, parts=parts)


def fetch(pin: Pin, vendor_dir: Path, parts: Sequence[str], download: Download) -> bool:
    """Make `vendor_dir/llama.cpp` hold at least `parts` of the pinned source.

    Returns False when it already did (nothing is written then). Raises FetchError.
    """
    tree = vendor_dir / "llama.cpp"
    if _has(tree, pin, parts):
        return False
    work = vendor_dir / ".download"
    work.mkdir(parents=True, exist_ok=True)
    with _lock(work / "lock"):
        if _has(tree, pin, parts):
            return False
        try:
            archive = _get_archive(pin, work, download)
            _replace_tree(pin, archive, tree, _wanted_parts(tree, pin, parts), work)
        except OSError as error:
            raise FetchError(f"cannot write {error.filename or work}: {error.strerror}") from error
    return True


def check(pin: Pin, vendor_dir: Path, parts: Sequence[str]) -> None:
    """Raise FetchError unless the tree is exactly what `fetch` unpacked for this pin."""
    tree = vendor_dir / "llama.cpp"
    if not _has(tree, pin, parts):
        raise FetchError(f"{tree} is not the pinned source; run: python vendor/fetch.py")
    if _tree_hash(tree) != _read_stamp(tree).get("tree_sha256"):
        raise FetchError(f"{tree} was changed; delete it and run: python vendor/fetch.py")


def pip_download(pin: Pin, directory: Path) -> None:
    """Download with pip of the running interpreter; pip checks the hash before it runs anything."""
    if importlib.util.find_spec("pip") is None:
        raise FetchError(f"{sys.executable} has no pip (Debian: apt install python3-pip)")
    wanted = directory / "requirement.txt"
    wanted.write_text(f"{pin.package}=={pin.version} --hash=sha256:{pin.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--retries", "2", "--no-binary", pin.package]
    command += ["-d", str(directory), "-r", str(wanted)]
    # pip reads the metadata through the package's build back-end. When that is importable here,
    # pip need not make an environment for it.
    attempts = [command]
    if importlib.util.find_spec("scikit_build_core") is not None:
        attempts.insert(0, [*command, "--no-build-isolation"])
    environ = {**os.environ, "TMPDIR": str(directory)}
    if not any(subprocess.run(args, env=environ, check=False).returncode == 0 for args in attempts):
        raise FetchError(
            f"cannot download {pin.package} {pin.version}; pip says why above. Without a network, "
            f"put {pin.file} (sha256 {pin.sha256}) into {directory.parent} and run this again"
        )


def _get_archive(pin: Pin, work: Path, download: Download) -> Path:
    """The verified archive, from an earlier run or downloaded now."""
    archive = work / pin.file
    if archive.exists() and archive.stat().st_size == pin.size_bytes:
        with contextlib.suppress(FetchError):
            _verify(pin, archive)
            return archive
    archive.unlink(missing_ok=True)
    _require_space(work, 2 * pin.size_bytes + pin.unpacked_bytes)
    incoming = _empty_dir(work / "incoming")
    _say(f"getting {pin.package} {pin.version} ({pin.size_bytes / 1e6:.0f} MB)")
    download(pin, incoming)
    if not (incoming / pin.file).is_file():
        raise FetchError(f"the download of {pin.package} {pin.version} has no file {pin.file}")
    _verify(pin, incoming / pin.file)
    (incoming / pin.file).replace(archive)
    shutil.rmtree(incoming)
    return archive


def _verify(pin: Pin, archive: Path) -> None:
    size_bytes = archive.stat().st_size
    with archive.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if size_bytes != pin.size_bytes or actual != pin.sha256:
        raise FetchError(
            f"{archive.name} is not the pinned file:\n"
            f"  expected sha256 {pin.sha256}, {pin.size_bytes:,} bytes\n"
            f"  found    sha256 {actual}, {size_bytes:,} bytes"
        )


def _replace_tree(pin: Pin, archive: Path, tree: Path, parts: list[str], work: Path) -> None:
    """Unpack beside the old tree, then swap; files that did not change keep their times."""
    _require_space(work, pin.unpacked_bytes)
    fresh = _empty_dir(work / "unpacking")
    _say(f"unpacking {', '.join(parts)} into {tree}")
    _unpack(pin, archive, [pin.parts[name] for name in parts], fresh)
    _keep_times(tree, fresh)
    stamp = {"sha256": pin.sha256, "version": pin.version, "parts": parts}
    stamp["rules"] = _rules(pin, parts)
    stamp["tree_sha256"] = _tree_hash(fresh)
    (fresh / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
    old = _empty_dir(work / "old")
    if tree.exists():
        tree.replace(old / tree.name)
    fresh.replace(tree)
    shutil.rmtree(old)


def _unpack(pin: Pin, archive: Path, parts: list[Part], target: Path) -> None:
    n_files = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if not member.isfile() or not name.is_relative_to(pin.root):
                continue
            path = name.relative_to(pin.root)
            if ".." in path.parts or not any(part.takes(str(path)) for part in parts):
                continue
            source = tar.extractfile(member)
            assert source is not None  # a regular file always has content
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            with (target / path).open("wb") as stream:
                shutil.copyfileobj(source, stream)
            n_files += 1
    if n_files == 0:
        raise FetchError(f"{archive.name} has no files under {pin.root}")


def _keep_times(old: Path, fresh: Path) -> None:
    """Give unchanged files their old modification time, so that they are not compiled again."""
    for path in _files(fresh):
        before = old / path.relative_to(fresh)
        if before.is_file() and before.read_bytes() == path.read_bytes():
            stat = before.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _wanted_parts(tree: Path, pin: Pin, parts: Sequence[str]) -> list[str]:
    """The build part, what is there already and what was asked for, in a fixed order."""
    wanted = {BUILD_PART, *parts, *_read_stamp(tree).get("parts", [])}
    return [name for name in pin.parts if name in wanted]


def _has(tree: Path, pin: Pin, parts: Sequence[str]) -> bool:
    stamp = _read_stamp(tree)
    have = stamp.get("parts", [])
    return (
        stamp.get("sha256") == pin.sha256
        and {BUILD_PART, *parts} <= set(have)
        and stamp.get("rules") == _rules(pin, have)
    )


def _read_stamp(tree: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((tree / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _rules(pin: Pin, parts: Sequence[str]) -> str:
    """A digest of what these parts take, so that an edited rule unpacks again."""
    rules = [repr(pin.parts.get(name)) for name in sorted(parts)]
    return hashlib.sha256("\n".join([pin.root, *rules]).encode()).hexdigest()


def _tree_hash(tree: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(_files(tree)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(tree)} {content}\n".encode())
    return total.hexdigest()


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in tree.rglob("*") if path.is_file() and path.name != STAMP)


def _matches(path: str, rule: str) -> bool:
    if rule.endswith("/"):
        return path.startswith(rule)
    if rule.endswith("/*"):
        return str(PurePosixPath(path).parent) == rule.removesuffix("/*")
    return path == rule


def _require_space(directory: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < n_bytes:
        raise FetchError(
            f"the disk of {directory} is too full: {n_bytes:,} bytes needed, {free:,} free"
        )


def _empty_dir(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"vendor: {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    here = Path(__file__).resolve().parent
    pin = load_pin(here / "llama.cpp.toml")
    parser = argparse.ArgumentParser(description="Get the pinned llama.cpp source.")
    extra = sorted(set(pin.parts) - {BUILD_PART})
    parser.add_argument("--with", dest="parts", action="append", default=[], choices=extra)
    parser.add_argument("--check", action="store_true", help="verify only, change nothing")
    options = parser.parse_args(argv)
    try:
        if options.check:
            check(pin, here, options.parts)
        else:
            fetch(pin, here, options.parts, pip_download)
    except FetchError as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
