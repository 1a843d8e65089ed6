from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.catalogs import write_models


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A models directory with a.gguf and b.gguf."""
    return write_models(tmp_path)
