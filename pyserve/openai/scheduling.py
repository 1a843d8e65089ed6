"""Maps `priority`, `deterministic` and `cache_salt` to fields of the engine request."""

from __future__ import annotations

from typing import Any

from pyserve.schemas.fields.scheduling import SchedulingFields


def scheduling(fields: SchedulingFields) -> dict[str, Any]:
    """Scheduling fields of an engine request, from those of the request body."""
    return {
        "cache_salt": fields.cache_salt or "",
        "priority": fields.priority_used,
        "deterministic": bool(fields.deterministic),
        "n_draft_max": fields.n_draft_max,
    }
