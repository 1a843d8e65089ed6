"""`keep_alive`: Ollama's field for how long a model stays loaded after a request."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from pyserve.schemas.common import invalid

FOREVER = -1.0
MAX_CHARS = 64
MAX_S = 1e9
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)"
_DURATION = re.compile(rf"(-?)((?:{_PART})+)", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": -MAX_S, "maximum": MAX_S},
        {"type": "string", "examples": ["5m", "1h30m", "0", "-1"], "maxLength": MAX_CHARS},
    ]
}


def keep_alive_s(value: object) -> float:
    """Seconds of a number or of a duration such as "1h30m"; below 0 is for ever."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise invalid("invalid_type", 'must be a number of seconds or a duration such as "5m"')
    seconds = _parse(value) if isinstance(value, str) else float(value)
    if math.isnan(seconds) or abs(seconds) > MAX_S:
        message = f'must be at most {MAX_S:.0f} seconds, or such as "5m"; below 0: for ever'
        raise invalid("invalid_value", message)
    return FOREVER if seconds < 0 else seconds


def _parse(text: str) -> float:
    """Seconds; nan for a text that is no duration."""
    if len(text) > MAX_CHARS:
        return math.nan
    if _NUMBER.fullmatch(text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None:
        return math.nan
    parts = re.findall(_PART, match[2])
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    return -seconds if match[1] else seconds


KeepAlive = Annotated[
    float, BeforeValidator(keep_alive_s), Field(allow_inf_nan=False), WithJsonSchema(_SCHEMA)
]
