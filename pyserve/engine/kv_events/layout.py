"""Events of prefixes as vLLM's KV cache publishes them: what balancers read. Pure.

A message has three frames: topic, sequence number (8 bytes, big-endian), and a batch as
MessagePack: `[time, [event...], rank]`. Events are arrays that begin with their names,
or, since vLLM 0.28, maps with their names as `type`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from pyserve.engine.config import Adapter
from pyserve.engine.prefix_changes import BLOCK_TOKENS, PrefixBlocks, PrefixChanges

# Ends a replay, in place of a sequence number.
END_OF_REPLAY = (-1).to_bytes(8, "big", signed=True)

HASH_BYTES = 32

ExtraKeys = list[list[str] | None]


class BlockStored(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Blocks that can be reused. extra_keys: what else than tokens tells blocks apart, by block."""

    block_hashes: list[int]
    parent_block_hash: int | None
    token_ids: list[int]
    block_size: int
    lora_id: None
    medium: None
    lora_name: str | None
    extra_keys: ExtraKeys | None


class BlockRemoved(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Blocks that cannot be reused any more."""

    block_hashes: list[int]


class AllBlocksCleared(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Nothing can be reused of what was told before."""


Event = BlockStored | BlockRemoved | AllBlocksCleared


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Events of one time. rank: of a server that has several engines for a model; ours has one."""

    time_s: float
    events: list[Event] | list[dict[str, object]]
    rank: None = None


_ENCODER = msgspec.msgpack.Encoder()


def encode(time_s: float, events: list[Event], *, as_maps: bool = False) -> bytes:
    """The third frame."""
    if as_maps:
        return _ENCODER.encode(Batch(time_s, [_map(event) for event in events]))
    return _ENCODER.encode(Batch(time_s, events))


def _map(event: Event) -> dict[str, object]:
    """With hashes of 32 bytes, as vLLM has them since then, and its word for the KV cache."""
    fields = {"type": type(event).__name__, **msgspec.structs.asdict(event)}
    if isinstance(event, AllBlocksCleared):
        return fields
    fields |= {"medium": "GPU", "block_hashes": [_wide(each) for each in event.block_hashes]}
    if isinstance(event, BlockStored) and event.parent_block_hash is not None:
        fields["parent_block_hash"] = _wide(event.parent_block_hash)
    return fields


def _wide(block_hash: int) -> bytes:
    return block_hash.to_bytes(HASH_BYTES, "big")


def sequence_frame(number: int) -> bytes:
    """The second frame."""
    return number.to_bytes(8, "big")


def events_of(changes: PrefixChanges, adapters: Sequence[Adapter]) -> list[Event]:
    """What an engine tells, as events. adapters: those that it was started with."""
    events: list[Event] = [AllBlocksCleared()] if changes.is_reset else []
    return [*events, *(_event(blocks, adapters) for blocks in changes.blocks)]


def _event(blocks: PrefixBlocks, adapters: Sequence[Adapter]) -> Event:
    if not blocks.is_stored:
        return BlockRemoved(blocks.hashes)
    return BlockStored(
        block_hashes=blocks.hashes,
        parent_block_hash=blocks.parent or None,
        token_ids=blocks.tokens,
        block_size=BLOCK_TOKENS,
        lora_id=None,
        medium=None,
        lora_name=_lora_name(blocks, adapters),
        extra_keys=_extra_keys(blocks, adapters),
    )


def _is_alone(blocks: PrefixBlocks, adapters: Sequence[Adapter]) -> bool:
    """One adapter as it is when a request asks for it by its model name."""
    if len(blocks.adapters) != 1:
        return False
    index, scale = blocks.adapters[0]
    return math.isclose(scale, adapters[index].scale or 1.0, rel_tol=1e-6)


def _lora_name(blocks: PrefixBlocks, adapters: Sequence[Adapter]) -> str | None:
    if not _is_alone(blocks, adapters):
        return None
    adapter = adapters[blocks.adapters[0][0]]
    return adapter.model_id or adapter.name


def _extra_keys(blocks: PrefixBlocks, adapters: Sequence[Adapter]) -> ExtraKeys | None:
    """Only at a prompt's first block: all others follow from it."""
    keys = [text for text in (blocks.tenant, blocks.cache_salt) if text]
    if not _is_alone(blocks, adapters):
        keys += [f"{adapters[index].name}*{scale:g}" for index, scale in blocks.adapters]
    if blocks.parent or not keys:
        return None
    return [keys, *[None] * (len(blocks.hashes) - 1)]
