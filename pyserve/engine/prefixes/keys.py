"""What a request's computed prefix depends on, as a chain of hashes of its blocks.

The same beginning gives the same beginning of the chain, in every process and on every machine;
nothing is tokenized. Whose prefix it is (tenant, salt), the adapters, and what a template is given
beside the messages are in the first hash already.
"""

from __future__ import annotations

import struct
from array import array
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from pyserve.engine.request import GenerateRequest, Segment, TemplateOptions

BLOCK_BYTES = 256
BLOCK_TOKENS = 64  # about; also exactly, of prompts that are token ids
MAX_BLOCKS = 512
N_ANCHOR_BLOCKS = 4
_HASH_BYTES = 8
# No byte of a text in UTF-8.
_TEMPLATE_MARK, _INPUT_MARK = b"\xfe", b"\xff"

_pack = msgspec.msgpack.Encoder(order="sorted").encode
_to_lines = msgspec.json.Encoder(order="sorted").encode_lines


class PrefixKeys(NamedTuple):
    """chain: a hash for each whole block and all before it, at most `MAX_BLOCKS`.

    anchor: what all turns of one chat have in common and other chats have not: its session, if it
    has one, else the messages up to the user's first; of other prompts their first blocks.
    n_bytes: of the whole prompt.
    """

    anchor: int
    chain: tuple[int, ...]
    n_bytes: int

    @property
    def n_blocks(self) -> int:
        """Of the whole prompt, the last one included."""
        return -(-self.n_bytes // BLOCK_BYTES)


def prefix_keys(request: GenerateRequest) -> PrefixKeys:
    """The request's keys. Without a chain where no prefix is reused."""
    seed = _digest(_pack(_circumstances(request)))
    body, n_anchor_bytes = _body(request)
    anchor = _digest(seed + body[:n_anchor_bytes])
    if request.session:
        anchor = _digest(_pack([request.tenant, request.session]))
    chain = () if request.n_prompt_logprobs is not None else _chain(seed, body)
    return PrefixKeys(int.from_bytes(anchor, "little"), chain, len(body))


def _circumstances(request: GenerateRequest) -> list[object]:
    """All that distinguishes equal texts. An adapter of scale 0 is off, as one not named is."""
    scales = request.adapters
    adapters = None if scales is None else {name: scale for name, scale in scales.items() if scale}
    template = request.template if request.messages is not None else None
    return [
        request.tenant,
        request.cache_salt,
        adapters,
        template or (TemplateOptions() if request.messages is not None else None),
        request.prompt is not None and request.parse_special,
    ]


def _body(request: GenerateRequest) -> tuple[bytes, int]:
    """The prompt as bytes, those of a longer one with the same beginning; the anchor's length."""
    if request.messages is not None:
        body = bytes(_to_lines(request.messages))
        return body, _end_of_line(body, _n_opening(request.messages))
    if request.segments is not None:
        body = _segments(request.segments)
    elif request.tokens is not None:
        body = _packed(request.tokens)
    else:
        body = (request.prompt or "").encode("utf-8", "surrogatepass")
    return body, N_ANCHOR_BLOCKS * BLOCK_BYTES


def _packed(tokens: list[int]) -> bytes:
    """Nothing for numbers that are no tokens: the engine refuses them."""
    try:
        return array("i", tokens).tobytes()
    except OverflowError:
        return b""


def _n_opening(messages: list[dict[str, object]]) -> int:
    roles = [message.get("role") for message in messages]
    return roles.index("user") + 1 if "user" in roles else len(roles)


def _end_of_line(body: bytes, n_lines: int) -> int:
    end = 0
    for _ in range(n_lines):
        end = body.index(b"\n", end) + 1
    return end


def _segments(segments: list[Segment]) -> bytes:
    """Where a text is cut into segments of one kind changes nothing."""
    parts, is_input = [], None
    for segment in segments:
        if segment.is_input is not is_input:
            is_input = segment.is_input
            parts.append(_INPUT_MARK if is_input else _TEMPLATE_MARK)
        parts.append(segment.text.encode("utf-8", "surrogatepass"))
    return b"".join(parts)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_HASH_BYTES).digest()


def _chain(seed: bytes, body: bytes) -> tuple[int, ...]:
    last, hashes = seed, []
    n_blocks = min(len(body) // BLOCK_BYTES, MAX_BLOCKS)
    for begin in range(0, n_blocks * BLOCK_BYTES, BLOCK_BYTES):
        block = last + body[begin : begin + BLOCK_BYTES]
        last = blake2b(block, digest_size=_HASH_BYTES).digest()
        hashes.append(last)
    return struct.unpack(f"<{n_blocks}Q", b"".join(hashes))
