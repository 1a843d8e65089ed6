"""Checks argument types for template functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyserve.models.templates.go.marked import Marked


class FunctionError(Exception):
    """A function cannot work with its arguments; the text says why."""


def as_text(value: object) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"needs a string, not {kind_of(value)}")
    return value


def as_number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FunctionError(f"needs a number, not {kind_of(value)}")
    return value


def as_list(value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise FunctionError(f"needs a list, not {kind_of(value)}")
    return value


def as_map(value: object) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise FunctionError(f"needs a map, not {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    names = {str: "a string", Marked: "a string", bool: "a boolean", dict: "a map", list: "a list"}
    return names.get(type(value), "nil" if value is None else "a number")
