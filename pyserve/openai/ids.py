"""Ids of answers, items and tool calls, and `system_fingerprint`."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from pyserve import __version__
from pyserve.engine.protocol import ModelInfo


def new_id(prefix: str) -> str:
    """A fresh id such as `chatcmpl-5f0c...`: the prefix and 96 random bits."""
    return f"{prefix}-{secrets.token_hex(12)}"


def new_item_id(prefix: str) -> str:
    """A fresh id such as `resp_5f0c...`, as the Responses API writes them."""
    return f"{prefix}_{secrets.token_hex(24)}"


def fingerprint(info: ModelInfo) -> str:
    """`system_fingerprint`: the engine's own, or else a hash of the facts known about it."""
    if info.fingerprint:
        return f"fp_{info.fingerprint.removeprefix('fp_')}"
    facts = msgspec.structs.replace(info, load_ms=0.0)
    digest = hashlib.sha256(msgspec.json.encode((__version__, facts)))
    return f"fp_{digest.hexdigest()[:12]}"


def new_call_id() -> str:
    """A fresh id of a tool call: `call_` and 24 letters and digits."""
    return f"call_{secrets.token_hex(12)}"
