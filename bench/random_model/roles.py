"""What tensors are to a model."""

from __future__ import annotations

from enum import Enum, auto


class Role(Enum):
    """What a tensor is to the model. NORM, SMALL and DECAY ones are never quantized."""

    EMBEDDING = auto()
    OUTPUT = auto()
    ATTN_V = auto()
    ATTN_OUTPUT = auto()
    FFN_DOWN = auto()
    MATRIX = auto()  # any other
    NORM = auto()
    SMALL = auto()
    DECAY = auto()  # of a state with time, below 0


Part = tuple[str, tuple[int, ...], Role]
