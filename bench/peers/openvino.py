"""OpenVINO GenAI: continuous batching over its own kernels, loaded from the same GGUF file.

It converts the weights and keeps its KV cache in 8 bits by default, so it is not the same
arithmetic. It has no HTTP server for this; ours is minimal (`mains/serve_openvino.py`).
"""

from __future__ import annotations

from bench.peers.package import PackagePeer
from bench.peers.peer import Settings
from bench.peers.venv import Venv


class Openvino(PackagePeer):
    """Prefix caching and split prompts on, which are its best settings for these workloads."""

    def __init__(self) -> None:
        venv = Venv("openvino", "openvino-genai", "2026.4.1.0")
        super().__init__("openvino", venv, "serve_openvino.py")

    def flags(self, settings: Settings) -> list[str]:
        flags = ["--threads", str(settings.threads), "--parallel", str(settings.n_parallel)]
        return [*flags, "--kv", str(settings.kv_tokens)]
