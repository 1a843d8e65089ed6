"""Values in templates: truth, printing, JSON, fields."""

from __future__ import annotations

import json
from typing import Any

from pyserve.models.templates.go.marked import Marked, joined, runs_of

_JSON_NAMES = {"FunctionCall": "function"}  # of LocalAI's tool calls


def is_true(value: object) -> bool:
    """Truth as in Go: not false, 0, nil or empty."""
    return bool(value)


def printed(value: object) -> Marked:
    """Text as fmt.Print writes it; nil, an unset field, as nothing."""
    if isinstance(value, str):
        return joined(runs_of(value))
    if isinstance(value, list | tuple):
        return joined([("[", False), *_spaced(value), ("]", False)])
    if isinstance(value, dict):
        pairs = [
            joined([*printed(key).runs, (":", False), *printed(item).runs])
            for key, item in sorted_items(value)
        ]
        return joined([("map[", False), *_spaced(pairs), ("]", False)])
    return joined([(_scalar(value), False)])


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _spaced(values: Any) -> list[tuple[str, bool]]:
    runs: list[tuple[str, bool]] = []
    for i, value in enumerate(values):
        runs += [(" ", False)] if i else []
        runs += printed(value).runs
    return runs


def sorted_items(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The members of a map as range sees them."""
    return sorted(value.items(), key=lambda item: str(item[0]))


def field_of(value: object, name: str) -> object:
    """A member by its name, or by the name that it has in JSON; nil when there is none."""
    if not isinstance(value, dict):
        return None
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    names = (name, name.lower(), snake, _JSON_NAMES.get(name))
    return next((value[key] for key in names if key in value), None)


def to_json(value: object, indent: int | None = None) -> str:
    """JSON as Go writes it: no spaces, members in order of their names only where Go sorts them."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, separators=separators, indent=indent)
