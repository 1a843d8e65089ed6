"""xllamacpp: llama.cpp's server code, with its HTTP server, inside a Python process."""

from __future__ import annotations

from bench.peers.peer import Command, Settings
from bench.peers.venv import MAINS, Venv

VERSION = "2026.10.11549"


class Xllamacpp:
    """The wheel is built for many CPUs, the reference for this one."""

    name = "xllamacpp"

    def __init__(self) -> None:
        self._venv = Venv("xllamacpp", "xllamacpp", VERSION)

    def is_available(self) -> bool:
        return self._venv.is_made()

    def install(self) -> None:
        self._venv.make()

    def version(self) -> str:
        return VERSION

    def command(self, settings: Settings) -> Command:
        flags = ["--threads", str(settings.threads), "--parallel", str(settings.n_parallel)]
        flags += ["--ctx", str(settings.kv_tokens)]
        argv = [self._venv.python, str(MAINS / "serve_xllamacpp.py"), str(settings.model)]
        return Command([*argv, "--port", str(settings.port), *flags], flags)
