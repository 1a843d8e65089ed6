"""Maps `priority`, `deterministic`, `cache_salt` and others to fields of the engine request."""

from __future__ import annotations

from typing import Any

from pyserve.schemas.fields.scheduling import SchedulingFields


def scheduling(fields: SchedulingFields) -> dict[str, Any]:
    """Scheduling fields of an engine request, from those of the request body."""
    return {
        "cache_salt": fields.cache_salt or "",
        "session": fields.prompt_cache_key or "",
        "saves_prefix": fields.prompt_cache_retention in (None, "24h"),
        "priority": fields.priority_used,
        "deterministic": bool(fields.deterministic),
        "n_draft_max": fields.n_draft_max,
        "max_token_gap_ms": fields.token_gap_used,
    }
