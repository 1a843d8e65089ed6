"""For all tests."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Has the garbage collector pass over what is loaded and stays: most of what it saw."""
    gc.collect()
    gc.freeze()
