"""Collects the fields of a request that its schema does not have, with their paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pyserve.schemas.unsupported import Unsupported, is_neutral

MAX_FIELDS = 64


class ForeignFields:
    """Fields without effect, found in the course of one validation. One thread.

    Of objects of one kind that have the same field, such as messages, the first counts.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], int] = {}  # kind and name to the id of the object

    def add(
        self, kind: str, data: Mapping[str, Any], names: Collection[str], neutral: Unsupported
    ) -> None:
        """Add the fields `names` of an object, but for those with a neutral value.

        REQUIRES: `data` is a part of what is validated, and lives until `paths` is called.
        """
        for name in names:
            if len(self._found) >= MAX_FIELDS:
                return
            if not is_neutral(data[name], neutral.get(name, ())):
                self._found.setdefault((kind, name), id(data))

    def paths(self, body: Any) -> list[str]:
        """Their paths in `body`, in the order of the fields; such as `messages.0.cache_control`."""
        names: dict[int, set[str]] = {}
        for (_, name), place in self._found.items():
            names.setdefault(place, set()).add(name)
        return list(_paths(body, "", names)) if names else []


def _paths(value: Any, path: str, names: Mapping[int, Collection[str]]) -> Iterator[str]:
    if isinstance(value, dict):
        here = names.get(id(value), ())
        yield from (f"{path}{name}" for name in value if name in here)
        for name, part in value.items():
            yield from _paths(part, f"{path}{name}.", names)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _paths(part, f"{path}{i}.", names)
