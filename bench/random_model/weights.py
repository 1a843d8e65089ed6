"""Random blocks of ggml's tensor types: weights of about ±0.02 around zero.

The bits of a block are random but for those that say how large its weights are.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from typing import BinaryIO, Final

from pyserve.gguf.tensor_types import block_values, n_tensor_bytes, type_name

CHUNK_BLOCKS = 1 << 16


def _half(offset: int, value: float) -> dict[int, tuple[int, int]]:
    low, high = struct.pack("<e", value)
    return {offset: (0, low), offset + 1: (0, high)}


def _half_pair(offset: int, scale: float, below: float) -> dict[int, tuple[int, int]]:
    return _half(offset, scale) | _half(offset + 2, below)


# By offset in the block, which of a byte's random bits stay, and which are set.
_FORCED: Final[Mapping[str, Mapping[int, tuple[int, int]]]] = {
    "F32": {2: (0x7F, 0x80), 3: (0x80, 0x3C)},  # the exponent is that of 2^-6
    "BF16": {0: (0x7F, 0x80), 1: (0x80, 0x3C)},
    "F16": {1: (0x83, 0x24)},
    "Q4_0": _half(0, 0.004),
    "Q4_1": _half_pair(0, 0.004, -0.03),
    "Q5_0": _half(0, 0.002),
    "Q5_1": _half_pair(0, 0.002, -0.031),
    "Q8_0": _half(0, 0.00027),
    "Q2_K": _half_pair(80, 0.0017, 0.0025),
    "Q3_K": _half(108, 0.0005),
    "Q4_K": _half_pair(0, 0.0001, 0.00075),
    "Q5_K": _half_pair(0, 0.00005, 0.00078),
    "Q6_K": _half(208, 0.000015),
    "IQ4_NL": _half(0, 0.00027),
    "IQ4_XS": _half(0, 0.000015),
    "MXFP4": {0: (0, 120)},  # the exponent of its 32 weights
}


def write_random(stream: BinaryIO, kind: int, n_values: int, rng: random.Random) -> None:
    """Write whole blocks with as many weights. kind: ggml's number of their type."""
    n_block = block_values(kind) or 1
    n_blocks, n_bytes = n_values // n_block, n_tensor_bytes(kind, n_block)
    tables = {offset: _table(*bits) for offset, bits in _FORCED[type_name(kind)].items()}
    for at in range(0, n_blocks, CHUNK_BLOCKS):
        blocks = bytearray(rng.randbytes(min(CHUNK_BLOCKS, n_blocks - at) * n_bytes))
        for offset, table in tables.items():
            blocks[offset::n_bytes] = blocks[offset::n_bytes].translate(table)
        stream.write(blocks)


def write_repeated(stream: BinaryIO, value: float, n_values: int) -> None:
    """Write a 32-bit float as many times."""
    stream.write(struct.pack("<f", value) * n_values)


def _table(keep: int, bits: int) -> bytes:
    return bytes(byte & keep | bits for byte in range(256))
