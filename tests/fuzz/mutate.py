"""Changes inputs a little, for fuzzing without coverage."""

from __future__ import annotations

import random
from collections.abc import Sequence

MAX_BYTES = 4096


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """`data` with a few bytes changed, added, removed or repeated, or the end of another input."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        end = at + rng.randint(1, 16)
        data = rng.choice(
            [
                data[:at] + rng.randbytes(1) + data[at + 1 :],
                data[:at] + rng.randbytes(1) + data[at:],
                data[:at] + data[end:],
                data[:end] + data[at:],
                data[:at] + (other := rng.choice(others))[rng.randint(0, len(other)) :],
            ]
        )
    return data[:MAX_BYTES]
