"""What was meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

MAX_NAMES = 3
MIN_PART_CHARS = 3  # shorter ones are parts of too many names
MIN_LIKENESS = 0.65
NEAR_THE_BEST = 0.1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean a, b or c?` with the known names that are most like it, or ""."""
    names = list(dict.fromkeys(known))
    by_name = {each: _likeness(name.lower(), each.lower()) for each in names}
    best = max(by_name.values(), default=0.0)
    least = max(MIN_LIKENESS, best - NEAR_THE_BEST)
    found = sorted((each for each in names if by_name[each] >= least), key=lambda n: -by_name[n])
    *others, last = found[:MAX_NAMES] or [""]
    if not last:
        return ""
    return f"did you mean {' or '.join([', '.join(others), last] if others else [last])}?"


def _likeness(name: str, known: str) -> float:
    """From 0 to 1: of the whole name, or of the beginning of a longer one."""
    if name in known and len(name) >= MIN_PART_CHARS:
        return 1.0
    whole = SequenceMatcher(None, name, known).ratio()
    if len(name) <= MIN_PART_CHARS:
        return whole
    return max(whole, SequenceMatcher(None, name, known[: len(name)]).ratio())
