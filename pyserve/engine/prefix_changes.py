"""What an engine tells of the prefixes that it keeps, for those who choose among servers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

BLOCK_TOKENS = 64


class PrefixBlocks(msgspec.Struct, frozen=True):
    """Blocks that follow each other and can be reused now, or no more.

    adapters: index and scale of each. parent: the block before the first of them, 0 = none.
    hashes: each stands for its block and all before it. tokens: of all of them; of those that are
    gone: none.
    """

    is_stored: bool
    hashes: list[int]
    parent: int = 0
    tokens: list[int] = []
    adapters: list[tuple[int, float]] = []
    tenant: str = ""
    cache_salt: str = ""


class PrefixChanges(msgspec.Struct, frozen=True):
    """What happened since the last call. is_reset: what was told before is void."""

    is_reset: bool = False
    blocks: list[PrefixBlocks] = []


@runtime_checkable
class PrefixTeller(Protocol):
    """An engine core that tells of its prefixes."""

    def take_prefix_changes(self, timeout_s: float) -> PrefixChanges:
        """What happened since the last call; waits for it. One consumer.

        Raises UnavailableError once the engine has been stopped.
        """
        ...
