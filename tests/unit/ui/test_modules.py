"""The page's modules that need no browser, in Node: `modules/*.test.js`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

MODULES = Path(__file__).parent / "modules"
MIN_NODE = 20


def node() -> str:
    path = shutil.which("node")
    if path is None:
        pytest.skip("needs Node, which is not installed")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < MIN_NODE:
        pytest.skip(f"needs Node {MIN_NODE}, not {version.strip()}")
    return path


def test_the_modules_that_need_no_browser():
    files = sorted(map(str, MODULES.glob("*.test.js")))
    assert files
    done = subprocess.run([node(), "--test", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
