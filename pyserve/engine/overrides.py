"""`--override-kv`: parses KEY=TYPE:VALUE overrides of GGUF metadata."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from pyserve.engine.config import Override

MAX_BYTES = 127  # of keys and texts
SHAPE = re.compile(r"([^=\s]+)=(int|float|bool|str):(.*)", re.DOTALL)
INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


def parse_override(text: str) -> Override:
    """`KEY=TYPE:VALUE`; the types are int, float, bool and str. Raises ValueError that names it."""
    match = SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:80]!r} is not KEY=TYPE:VALUE with the type int, float, bool or str"
        )
    key, kind, value = match.groups()
    if max(len(key.encode()), len(value.encode())) > MAX_BYTES:
        raise ValueError(f"{text[:80]!r}: key and value have at most {MAX_BYTES} bytes each")
    try:
        return Override(key, _value(kind, value))
    except ValueError:
        raise ValueError(f"{text[:80]!r}: {value[:40]!r} is not of type {kind}") from None


def override_values(overrides: Iterable[Override]) -> dict[str, bool | int | float | str]:
    """The overriding values by key; the first one for a key wins, as in the engine."""
    return {each.key: each.value for each in reversed(tuple(overrides))}


def _value(kind: str, text: str) -> bool | int | float | str:
    if kind == "str":
        return text
    if kind == "bool":
        if text not in ("true", "false"):
            raise ValueError
        return text == "true"
    if kind == "int":
        if not INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
            raise ValueError
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number
