"""Names, block sizes and bits per value of ggml's tensor types."""

from __future__ import annotations

from typing import Final

# ggml's number: name, values per block, bytes per block.
_TYPES: Final = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip


# Those of llama.cpp's mixtures that have no name in common with a tensor type, about.
_MIXTURES: Final = {
    "Q5_K_M": 5.7, "Q5_K_S": 5.5, "Q4_K_M": 4.9, "Q4_K_S": 4.6, "Q3_K_L": 4.3, "Q3_K_M": 3.9,
    "Q3_K_S": 3.5, "Q2_K": 3.2,
}  # fmt: skip


def bits_per_value(name: str) -> float | None:
    """About how many bits a weight takes in a file of that quantization; None if unknown."""
    if name in _MIXTURES:
        return _MIXTURES[name]
    for known, n_block, n_bytes in _TYPES.values():
        if known == name:
            return 8 * n_bytes / n_block
    return None


def type_name(kind: int) -> str:
    """The name of a type; of an unknown one its number."""
    return _TYPES[kind][0] if kind in _TYPES else f"type {kind}"


def block_values(kind: int) -> int | None:
    """The number of values in a block of the type; None for an unknown one."""
    return _TYPES[kind][1] if kind in _TYPES else None


def n_tensor_bytes(kind: int, n_values: int) -> int:
    """The size of a tensor; 0 for an unknown type."""
    _name, n_block, n_bytes = _TYPES.get(kind, ("", 1, 0))
    return n_values // n_block * n_bytes
