"""OpenVINO GenAI: continuous batching over its own kernels, loaded from the same GGUF file.

It converts the weights and keeps its KV cache in 8 bits by default, so it is not the same
arithmetic. It has no HTTP server for this; ours is minimal (`mains/serve_openvino.py`).
"""

from __future__ import annotations

from bench.peers.peer import Command, Settings
from bench.peers.venv import MAINS, Venv

VERSION = "2026.4.1.0"


class Openvino:
    """Prefix caching and split prompts on, which are its best settings for these workloads."""

    name = "openvino"

    def __init__(self) -> None:
        self._venv = Venv("openvino", "openvino-genai", VERSION)

    def is_available(self) -> bool:
        return self._venv.is_made()

    def install(self) -> None:
        self._venv.make()

    def version(self) -> str:
        return VERSION

    def command(self, settings: Settings) -> Command:
        flags = ["--threads", str(settings.threads), "--parallel", str(settings.n_parallel)]
        flags += ["--kv", str(settings.kv_tokens)]
        argv = [self._venv.python, str(MAINS / "serve_openvino.py"), str(settings.model)]
        return Command([*argv, "--port", str(settings.port), *flags], flags)
