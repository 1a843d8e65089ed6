"""Regular expressions of models' YAML files, matched by RE2 in linear time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]

MAX_PROGRAM_BYTES = 8 << 20


class PatternError(Exception):
    """RE2 does not take the expression; the text says why."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """An object with the methods of Python's compiled expressions. Raises PatternError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        raise PatternError(text.decode() if isinstance(text, bytes) else str(text)) from error
