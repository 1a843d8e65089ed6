#!/usr/bin/env python3
"""Prints the prefix under which doctest/doctest.h lies, for the native tests.

The header comes from the system package doctest-dev. When it is not installed, the package is
downloaded and unpacked below build/, which needs no root. Exit status 1 when that fails as well.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "doctest-dev"
HEADER = Path("include/doctest/doctest.h")
SYSTEM_PREFIXES = (Path("/usr"), Path("/usr/local"))
OWN_PREFIX = Path("build/doctest/usr")


def main() -> int:
    prefix = _find()
    if prefix is None and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        _unpack_package()
        prefix = _find()
    if prefix is None:
        print(f"doctest.h is missing; repair: apt-get install -y {PACKAGE}", file=sys.stderr)
        return 1
    print(prefix.absolute())
    return 0


def _find() -> Path | None:
    for prefix in (*SYSTEM_PREFIXES, OWN_PREFIX):
        if (prefix / HEADER).is_file():
            return prefix
    return None


def _unpack_package() -> None:
    target = OWN_PREFIX.parent
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["apt-get", "-qq", "download", PACKAGE],
            cwd=directory,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        archive = next(Path(directory).glob("*.deb"), None)
        if archive is not None:
            target.mkdir(parents=True, exist_ok=True)
            subprocess.run(["dpkg-deb", "-x", archive, target], check=False)


if __name__ == "__main__":
    sys.exit(main())
