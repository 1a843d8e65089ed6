"""The fake engine's kernels: the native names on a fixed CPU; they compute nothing."""

from __future__ import annotations

from typing import get_args

from pyserve.config import Kernels
from pyserve.engine.kernels import AUTOMATIC, KernelChoice
from pyserve.errors import InvalidRequestError

LADDER: tuple[str, ...] = get_args(Kernels)[1:]
BEST = "avx512bw"
_MISSING = "avxvnni"  # in this CPU


def choose_kernels(wanted: str) -> KernelChoice:
    """The wanted ones, or the best. Raises InvalidRequestError for a name that none have."""
    if wanted in ("", AUTOMATIC):
        wanted = BEST
    if wanted not in LADDER:
        raise InvalidRequestError(f"kernels are {wanted!r}, allowed are auto, {', '.join(LADDER)}")
    below = [name for name in LADDER[LADDER.index(wanted) + 1 :] if name != _MISSING]
    return KernelChoice(kernels=wanted, lower=below[0] if below else "")
