"""Environments of peers that are Python packages: one each, so that none disturbs another."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import PeerError

ROOT = Path("build/bench")
MAINS = Path(__file__).parent / "mains"
_LIST_REQUIREMENTS = """\
import importlib.metadata, sys
print(*importlib.metadata.requires(sys.argv[1]) or (), sep="\\n")
"""
_PACKAGE = re.compile(r"[\w.-]+")


class Venv:
    """The environment of one peer, with one pinned package in it.

    also: more requirements. is_built: the package comes as source and is compiled here, which
    takes many minutes; the others come as wheels or not at all.
    from_source: a file of the source archive that wheels leave out, put next to the packages.
    without: packages that it asks for and that are not installed.
    """

    def __init__(
        self,
        name: str,
        package: str,
        version: str,
        *,
        also: Sequence[str] = (),
        is_built: bool = False,
        from_source: str = "",
        without: Sequence[str] = (),
    ) -> None:
        self._path = ROOT / f"venv-{name}"
        self.version = version
        self._package = package
        self._requirement = f"{package}=={version}"
        self._also = also
        self._is_built = is_built
        self._from_source = from_source
        self._without = without
        self._stamp = self._path / ".installed"

    @property
    def python(self) -> str:
        return str(self._path / "bin" / "python")

    @property
    def source_file(self) -> Path:
        """Where the file of the source archive lies. REQUIRES: from_source."""
        return self._path / Path(self._from_source).name

    def is_made(self) -> bool:
        return self._stamp.is_file() and self._stamp.read_text() == self._requirement

    def make(self) -> None:
        """Make it or bring it to the pinned version. Raises PeerError."""
        print(f"installing {self._requirement} into {self._path}", file=sys.stderr, flush=True)
        kinds = ["--prefer-binary"] if self._is_built else ["--only-binary", ":all:"]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(self._path)], check=True)
            if self._without:
                self._pip("install", *kinds, "--no-deps", self._requirement)
                self._pip("install", *kinds, *self._needed(), *self._also)
            else:
                self._pip("install", *kinds, self._requirement, *self._also)
            if self._from_source:
                self._get_source_file()
        except (subprocess.CalledProcessError, LookupError, OSError) as error:
            raise PeerError(f"cannot install {self._requirement}, see above: {error}") from error
        self._stamp.write_text(self._requirement)

    def _pip(self, command: str, *args: str) -> None:
        pip = [self.python, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *args], check=True)

    def _needed(self) -> list[str]:
        """What the installed package asks for, but for what it does without."""
        command = [self.python, "-c", _LIST_REQUIREMENTS, self._package]
        listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return requirements_without(listed.stdout.splitlines(), self._without)

    def _get_source_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._pip(
                "download", "--no-deps", "--no-binary", ":all:", self._requirement, "-d", folder
            )
            [archive] = Path(folder).glob("*.tar.gz")
            self.source_file.write_bytes(member_of(archive, self._from_source))


def requirements_without(requirements: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """Those of other packages, as they are written."""
    return [
        text
        for text in requirements
        if (match := _PACKAGE.match(text)) and match[0].lower() not in left_out
    ]


def member_of(archive: Path, name: str) -> bytes:
    """The content of a file of a source archive, named without the archive's one folder.

    Raises LookupError when it is not there.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.partition("/")[2] == name:
                stream = tar.extractfile(member)
                if stream is not None:
                    return stream.read()
    raise LookupError(f"{archive.name} has no {name}")
