"""The job of a quantizing process, sent to it as JSON."""

from __future__ import annotations

import msgspec


class QuantizeJob(msgspec.Struct, frozen=True, kw_only=True):
    """path_out is overwritten. allow_requantize: also take weights that are quantized already."""

    path_in: str
    path_out: str
    type: str
    n_threads: int = 1
    allow_requantize: bool = False
