"""The words of a chat template, among which are its variables."""

from __future__ import annotations

import functools
import re

MAX_TEMPLATES = 64


@functools.lru_cache(MAX_TEMPLATES)
def words_of(template: str) -> frozenset[str]:
    """Everything in a template's source that may be the name of a variable."""
    return frozenset(re.findall(r"\w+", template, re.ASCII))
