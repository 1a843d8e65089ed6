"""Batches of either API in a front: asking for one until it is over, and its results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.front import Front
from tests.support.limits import SOON_S
from tests.support.server import wait_until


@dataclass(frozen=True)
class Batches:
    """Those below a path. is_over: whether such a batch is."""

    path: str
    is_over: Callable[[dict[str, Any]], bool]

    def get(self, front: Front, batch_id: str, headers: Any = None) -> dict[str, Any]:
        found = front.client.get(f"{self.path}/{batch_id}", headers=headers).get_json()
        assert isinstance(found, dict)
        return found

    def ended(self, front: Front, batch_id: str, headers: Any = None) -> dict[str, Any]:
        """Waits until it is over."""
        wait_until(
            lambda: self.is_over(self.get(front, batch_id, headers)), SOON_S, "the batch is over"
        )
        return self.get(front, batch_id, headers)


def by_custom_id(text: str) -> dict[str, dict[str, Any]]:
    """The lines of results; none has the id of another."""
    lines = [json.loads(line) for line in text.splitlines()]
    found = {line["custom_id"]: line for line in lines}
    assert len(found) == len(lines)
    return found
