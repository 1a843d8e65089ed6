"""What an engine is started with."""

from __future__ import annotations

import msgspec


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one engine, native or fake.

    n_ctx: most tokens of one request, 0 = the model's own, at most 8192.
    n_kv: KV cells shared by all requests, 0 = n_ctx. n_seq_max: requests that run at once.
    n_batch: most tokens of one step. n_queue_max: requests that may wait.
    prefix_cache_mib: memory for copies of prefixes that the KV cache has no room for; 0 = none.
    """

    model_id: str
    model_path: str
    n_ctx: int = 0
    n_kv: int = 0
    n_seq_max: int = 16
    n_batch: int = 512
    n_threads: int = 1
    n_queue_max: int = 64
    use_mmap: bool = True
    prefix_cache_mib: int = 512
