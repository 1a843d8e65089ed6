"""llama-cpp-python: its plain server, and the batching one among the examples of its source.

The package is compiled from source for this CPU, which takes about ten minutes on two cores. Both
servers leave `ignore_eos` aside, so the rows count short replies. Neither sends usage in streams:
`mains/serve_llama_cpp_python.py` adds it.
"""

from __future__ import annotations

from bench.peers.peer import Command, Settings
from bench.peers.venv import MAINS, Venv

VERSION = "0.3.36"
_EXTRAS = (
    *("fastapi", "openai", "pydantic-settings", "pyyaml", "safetensors", "sse-starlette"),
    *("starlette-context<0.4", "uvicorn", "websockets"),
)


class LlamaCppPython:
    """is_batching: many requests in one step; the plain server answers one after the other."""

    def __init__(self, name: str = "llama-cpp-python", *, is_batching: bool = False) -> None:
        self.name = name
        self._is_batching = is_batching
        self._venv = Venv(
            "llama-cpp-python",
            "llama-cpp-python",
            VERSION,
            also=_EXTRAS,
            is_built=True,
            from_source="examples/server/server.py",
        )

    def is_available(self) -> bool:
        return self._venv.is_made()

    def install(self) -> None:
        self._venv.make()

    def version(self) -> str:
        return VERSION

    def command(self, settings: Settings) -> Command:
        """A server of one request at a time needs the cells of one."""
        flags = ["--threads", str(settings.threads)]
        argv = [self._venv.python, str(MAINS / "serve_llama_cpp_python.py"), str(settings.model)]
        argv += ["--port", str(settings.port)]
        if self._is_batching:
            argv += ["--server", str(self._venv.source_file)]
            flags += ["--ctx", str(settings.kv_tokens), "--parallel", str(settings.n_parallel)]
        else:
            flags += ["--ctx", str(settings.ctx_tokens)]
        return Command([*argv, *flags], flags)
