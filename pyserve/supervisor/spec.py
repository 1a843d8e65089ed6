"""`ModelSpec`: everything that the supervisor needs to run one model."""

from __future__ import annotations

import msgspec

from pyserve.engine.config import EngineConfig
from pyserve.models.model_file import Limits
from pyserve.models.profile import PLAIN, ModelProfile


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One configured model.

    engine: what its engine is started with; `engine.model_id` is the name clients use.
    n_bytes: the memory it is predicted to take, 0 = not known.
    is_preloaded: loaded at the start, as far as there is room. is_pinned: that, and never unloaded
    to make room or for being idle. ttl_s: unloaded after so many idle seconds; 0 = never.
    version: another one is another file under the same path. profile: what fronts are told.
    limits: of its requests, and of models loaded beside it.
    """

    engine: EngineConfig
    n_bytes: int = 0
    is_preloaded: bool = False
    is_pinned: bool = False
    ttl_s: float = 0.0
    version: int = 0
    profile: ModelProfile = PLAIN
    limits: Limits = Limits()

    @property
    def id(self) -> str:
        return self.engine.model_id

    def is_same_engine(self, other: ModelSpec) -> bool:
        """Whether a running engine can go on under the other spec."""
        return self.engine == other.engine

    def is_rival(self, other: ModelSpec) -> bool:
        """Whether the two may not be loaded together."""
        return self.id != other.id and not self.limits.groups.isdisjoint(other.limits.groups)
