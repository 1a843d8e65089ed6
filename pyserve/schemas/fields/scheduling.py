"""Scheduling fields of all generating endpoints: `priority`, `deterministic`, `cache_salt` ..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pyserve.schemas.common import INT32_MAX, RenamedFields
from pyserve.schemas.fields.keep_alive import KeepAlive

MAX_PRIORITY = 100
MAX_GAP_MS = 600_000
# By OpenAI's names of tiers: the tier that is used, and what it adds to the priority. Others add 0.
TIERS = {
    "priority": ("priority", 10),
    "fast": ("priority", 10),
    "ultrafast": ("priority", 10),
    "flex": ("flex", -10),
}
DEFAULT_TIER = ("default", 0)


class SchedulingFields(RenamedFields):
    """Extensions of ours, on every generating endpoint.

    priority: higher ones start first, 0 is the default; service_tier moves it. deterministic: the
    same seed gives the same bytes whatever else runs; slower. cache_salt: computed prefixes are
    shared only among requests with the same one. Of OpenAI's, prompt_cache_key: in a cluster
    requests with the same one go to the same replica; prompt_cache_retention: with in_memory
    prefixes are not written to disk. keep_alive: how long the model stays loaded
    afterwards; ttl is LM Studio's name of it.
    max_token_gap_ms: prompts of others may move the tokens of the answer so far apart, if that is
    more than the server's option of this name; 0: as far as they like, as with the tier flex.
    n_draft_max: llama-server's `speculative.n_max`, draft tokens that one step checks; 0: none.
    """

    other_names: ClassVar[Mapping[str, str]] = {"ttl": "keep_alive"}

    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] | None = None
    service_tier: Annotated[str, Field(max_length=64)] | None = None
    max_token_gap_ms: Annotated[float, Field(ge=0, le=MAX_GAP_MS)] | None = None
    deterministic: bool | None = None
    cache_salt: Annotated[str, Field(max_length=256)] | None = None
    prompt_cache_key: Annotated[str, Field(max_length=512)] | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    keep_alive: KeepAlive | None = None
    ttl: KeepAlive | None = None
    n_draft_max: Annotated[int, Field(ge=0, le=INT32_MAX)] | None = Field(
        default=None, alias="speculative.n_max"
    )

    @property
    def tier(self) -> str:
        """The service tier that is used: default, priority or flex."""
        return TIERS.get(self.service_tier or "", DEFAULT_TIER)[0]

    @property
    def token_gap_used(self) -> float | None:
        """`max_token_gap_ms`; nobody reads along with the tier flex."""
        if self.max_token_gap_ms is None and self.tier == "flex":
            return 0.0
        return self.max_token_gap_ms

    @property
    def priority_used(self) -> int:
        """The priority with that of the service tier."""
        _, more = TIERS.get(self.service_tier or "", DEFAULT_TIER)
        return max(-MAX_PRIORITY, min((self.priority or 0) + more, MAX_PRIORITY))
