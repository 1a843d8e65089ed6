"""Environments of peers that are Python packages: one each, so that none disturbs another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.peers.peer import PeerError

ROOT = Path("build/bench")
MAINS = Path(__file__).parent / "mains"


class Venv:
    """The environment of one peer, with one pinned package in it."""

    def __init__(self, name: str, package: str, version: str) -> None:
        self._path = ROOT / f"venv-{name}"
        self._requirement = f"{package}=={version}"
        self._stamp = self._path / ".installed"

    @property
    def python(self) -> str:
        return str(self._path / "bin" / "python")

    def is_made(self) -> bool:
        return self._stamp.is_file() and self._stamp.read_text() == self._requirement

    def make(self) -> None:
        """Make it or bring it to the pinned version. Raises PeerError."""
        print(f"installing {self._requirement} into {self._path}", file=sys.stderr, flush=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(self._path)], check=True)
            subprocess.run([*pip, "--only-binary", ":all:", self._requirement], check=True)
        except subprocess.CalledProcessError as error:
            raise PeerError(f"cannot install {self._requirement}, see above") from error
        self._stamp.write_text(self._requirement)
