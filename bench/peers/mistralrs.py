"""mistral.rs: an engine in Rust that reads the same GGUF file.

The wheel is the build for CPUs; its engine is in it, its HTTP server is not, so ours is minimal
(`mains/serve_mistralrs.py`). It streams chats only: a model without a template has no figures.
"""

from __future__ import annotations

from bench.peers.peer import Command, Settings
from bench.peers.venv import MAINS, Venv

VERSION = "0.9.5"


class Mistralrs:
    """The size of its KV cache follows the requests; only their number is set."""

    name = "mistralrs"

    def __init__(self) -> None:
        self._venv = Venv("mistralrs", "mistralrs", VERSION)

    def is_available(self) -> bool:
        return self._venv.is_made()

    def install(self) -> None:
        self._venv.make()

    def version(self) -> str:
        return VERSION

    def command(self, settings: Settings) -> Command:
        flags = ["--parallel", str(settings.n_parallel)]
        argv = [self._venv.python, str(MAINS / "serve_mistralrs.py"), str(settings.model)]
        environ = {"RAYON_NUM_THREADS": str(settings.threads)}
        return Command([*argv, "--port", str(settings.port), *flags], flags, environ)
