"""Which kernels this machine can use."""

from __future__ import annotations

from functools import cache

from pyserve.engine.kernels import AUTOMATIC
from pyserve.engine.native import choose_kernels, report_cpu


@cache
def usable_kernels() -> tuple[str, ...]:
    """All that can be used here, from the best."""
    ladder = report_cpu(AUTOMATIC).ladder
    return tuple(rung.kernels for rung in ladder if not rung.missing and not rung.failure)


def has_our_kernels() -> bool:
    """Whether engines of this process compute with kernels of ours: llama.cpp's promise less."""
    return choose_kernels("").kernels != "stock"


@cache
def chosen_kernels() -> tuple[str, ...]:
    """Those that are used unasked, and what is below them."""
    kernels = usable_kernels()
    return kernels[kernels.index(report_cpu(AUTOMATIC).choice.kernels) :]
