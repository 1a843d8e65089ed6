"""What is known of a request by its first line, or by the blueprint of its view."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Flask

_VARIABLE = re.compile(r"<[^>]*>")
_NOTHING = re.compile(rb"(?!)")


@dataclass(frozen=True)
class Endpoints:
    """usecases: that of each generating endpoint, by its blueprint.

    open: the blueprints that need no API key. public: those of them that show everybody all models.
    request_line: matches the first line of a request to one of them; its group is the path.
    """

    usecases: Mapping[str, str] = field(default_factory=dict)
    open: frozenset[str] = frozenset()
    request_line: re.Pattern[bytes] = _NOTHING
    public: frozenset[str] = frozenset()

    def usecase(self, blueprint: str | None) -> str | None:
        """The usecase of a blueprint, by Flask's name with prefix; None: it does not generate."""
        return self.usecases.get(_bare(blueprint))

    def is_open(self, blueprint: str | None) -> bool:
        """Whether requests to it need no API key."""
        return _bare(blueprint) in self.open

    def is_public(self, blueprint: str | None) -> bool:
        """Whether they show all models to whoever has no API key."""
        return _bare(blueprint) in self.public


def _bare(blueprint: str | None) -> str:
    return (blueprint or "").rpartition(".")[2]


def generating_line(app: Flask, usecases: Mapping[str, str]) -> re.Pattern[bytes]:
    """`Endpoints.request_line` of an app whose blueprints are registered."""
    paths = {
        "[^ ?]+".join(map(re.escape, _VARIABLE.split(rule.rule)))
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ()) and rule.endpoint.split(".")[-2] in usecases
    }
    pattern = rf"POST ({'|'.join(sorted(paths))})(?:\?[^ ]*)? "
    return re.compile(pattern.encode())
