"""What is measured and waited for goes by a clock that nobody sets."""

from __future__ import annotations

import ast
from pathlib import Path

import pyserve

ROOT = Path(pyserve.__file__).parent

# Dates that are shown, and the age of a file, whose time is the wall's.
STAMPS = {
    "openai/answer.py",
    "openai/responses/responses.py",
    "backend/runtime.py",
    "supervisor/engine_slot.py",
    "backend/static.py",
}


WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow"}


def _reads_the_wall_clock(source: str) -> bool:
    names = {
        ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)
    }
    return bool(names & WALL_CLOCKS) or "from time import" in source


def test_the_wall_clock_is_read_for_dates_alone() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if _reads_the_wall_clock(path.read_text(encoding="utf-8"))
    }
    assert readers == STAMPS
