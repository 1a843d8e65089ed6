"""Value types of LocalAI's YAML keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from pyserve.engine.overrides import parse_override

MAX_TEXT_CHARS = 256 * 1024
MAX_STRINGS = 64


def listed(value: object) -> object:
    """One string as a list of one."""
    return [value] if isinstance(value, str) else value


def unset_if_zero(value: object) -> object:
    """LocalAI writes 0 for what is not set."""
    return None if value == 0 and not isinstance(value, bool) else value


def unset_if_empty(value: object) -> object:
    return None if value == "" else value


def printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has characters that cannot be printed")
    return value


def unset_if_not_positive(value: object) -> object:
    return None if isinstance(value, int | float) and value <= 0 else value


def _override(value: str) -> str:
    parse_override(value)
    return value


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(printable)]
Strings = Annotated[
    list[Annotated[str, Field(max_length=1024)]],
    Field(max_length=MAX_STRINGS),
    BeforeValidator(listed),
]
Stops = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=256)]],
    Field(max_length=MAX_STRINGS),
    BeforeValidator(listed),
]
RopeNumber = Annotated[
    Annotated[float, Field(gt=0, le=1e9)] | None, BeforeValidator(unset_if_not_positive)
]
Share = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Overrides = Annotated[
    list[Annotated[str, AfterValidator(_override)]],
    Field(max_length=MAX_STRINGS),
    BeforeValidator(listed),
]
