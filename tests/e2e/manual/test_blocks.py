"""What the documents tell people to type does what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.manual import Block, blocks
from tests.support.server import ServerProcess

pytestmark = pytest.mark.model

LOCAL = "http://localhost:8080"
RUN = [block for block in blocks() if block.how is not None]


def name_of(block: Block) -> str:
    return f"{block.page}-{block.number}"


def run(block: Block, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    text = block.text.replace(LOCAL, url)
    command = ["bash", "-euo", "pipefail", "-c", text]
    if block.language == "python":
        command = [sys.executable, "-W", "error", "-c", text]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYSERVE_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("block", [each for each in RUN if each.how == "server"], ids=name_of)
def test_a_block_for_a_server_works(
    block: Block, model_server: ServerProcess, tmp_path: Path
) -> None:
    done = run(block, model_server.url, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert '"error"' not in done.stdout


@pytest.mark.parametrize("block", [each for each in RUN if each.how != "server"], ids=name_of)
def test_a_block_works(block: Block, tmp_path: Path) -> None:
    done = run(block, LOCAL, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
