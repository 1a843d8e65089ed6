"""The names of `import pyserve`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pyserve


@pytest.mark.parametrize("name", pyserve.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pyserve, name) is not None
    assert name in dir(pyserve)


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'LMM'"):
        pyserve.LMM  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_alone_imports_nothing_large() -> None:
    command = [sys.executable, "-c", "import sys, pyserve; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"flask", "httpx", "msgspec", "numpy", "pydantic"} & set(done.stdout.split())
