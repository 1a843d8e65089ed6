"""`system_fingerprint`: a hash of all but the request that a deterministic output depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pyserve
from pyserve.engine.model_info import ModelInfo


def fingerprint(info: ModelInfo, build: Sequence[str]) -> str:
    """A hash of all that the output of a deterministic request depends on.

    build: of the native module, its sources and the features of the CPU that it uses.
    """
    facts = (
        pyserve.__version__,
        *build,
        info.kernels,
        info.architecture,
        info.description,
        info.quantization,
        info.n_params,
        info.size_bytes,
        info.cache_type_k,
        info.cache_type_v,
        info.n_threads,
        info.n_ctx,
        info.adapters,
    )
    return "fp_" + hashlib.sha256(repr(facts).encode()).hexdigest()[:10]
