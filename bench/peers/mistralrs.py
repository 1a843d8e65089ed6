"""mistral.rs: an engine in Rust that reads the same GGUF file.

The wheel is the build for CPUs; its engine is in it, its HTTP server is not, so ours is minimal
(`mains/serve_mistralrs.py`). It streams chats only: a model without a template has no figures.
"""

from __future__ import annotations

from bench.peers.package import PackagePeer
from bench.peers.peer import Settings
from bench.peers.venv import Venv


class Mistralrs(PackagePeer):
    """The size of its KV cache follows the requests, which it computes one after the other."""

    def __init__(self) -> None:
        venv = Venv("mistralrs", "mistralrs", "0.9.5")
        super().__init__("mistralrs", venv, "serve_mistralrs.py")

    def flags(self, settings: Settings) -> list[str]:
        return ["--threads", str(settings.threads)]
