"""Environments of peers that are Python packages: one each, so that none disturbs another."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import PeerError

ROOT = Path("build/bench")
MAINS = Path(__file__).parent / "mains"


class Venv:
    """The environment of one peer, with one pinned package in it.

    also: more requirements. is_built: the package comes as source and is compiled here, which
    takes many minutes; the others come as wheels or not at all.
    from_source: a file of the source archive that wheels leave out, put next to the packages.
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
    ) -> None:
        self._path = ROOT / f"venv-{name}"
        self.version = version
        self._requirement = f"{package}=={version}"
        self._also = also
        self._is_built = is_built
        self._from_source = from_source
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
            self._pip("install", *kinds, self._requirement, *self._also)
            if self._from_source:
                self._get_source_file()
        except (subprocess.CalledProcessError, LookupError, OSError) as error:
            raise PeerError(f"cannot install {self._requirement}, see above: {error}") from error
        self._stamp.write_text(self._requirement)

    def _pip(self, command: str, *args: str) -> None:
        pip = [self.python, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *args], check=True)

    def _get_source_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._pip(
                "download", "--no-deps", "--no-binary", ":all:", self._requirement, "-d", folder
            )
            [archive] = Path(folder).glob("*.tar.gz")
            self.source_file.write_bytes(member_of(archive, self._from_source))


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
