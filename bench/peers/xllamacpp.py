"""xllamacpp: llama.cpp's server code, with its HTTP server, inside a Python process."""

from __future__ import annotations

from bench.peers.package import PackagePeer
from bench.peers.peer import Settings
from bench.peers.venv import Venv


class Xllamacpp(PackagePeer):
    """The wheel is built for many CPUs, the reference for this one."""

    def __init__(self) -> None:
        venv = Venv("xllamacpp", "xllamacpp", "2026.10.11549")
        super().__init__("xllamacpp", venv, "serve_xllamacpp.py")

    def flags(self, settings: Settings) -> list[str]:
        flags = ["--threads", str(settings.threads), "--parallel", str(settings.n_parallel)]
        return [*flags, "--ctx", str(settings.kv_tokens)]
