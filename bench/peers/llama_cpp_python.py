"""llama-cpp-python: its plain server, and the batching one among the examples of its source.

The package is compiled from source for this CPU, which takes about ten minutes on two cores. Both
servers leave `ignore_eos` aside, so the rows count short replies. Neither sends usage in streams:
`mains/serve_llama_cpp_python.py` adds it.
"""

from __future__ import annotations

from bench.peers.package import PackagePeer
from bench.peers.peer import Settings
from bench.peers.venv import Venv

_EXTRAS = (
    *("fastapi", "openai", "pydantic-settings", "pyyaml", "safetensors", "sse-starlette"),
    *("starlette-context<0.4", "uvicorn", "websockets"),
)


class LlamaCppPython(PackagePeer):
    """is_batching: many requests in one step; the plain server answers one after the other."""

    def __init__(self, name: str = "llama-cpp-python", *, is_batching: bool = False) -> None:
        venv = Venv(
            "llama-cpp-python",
            "llama-cpp-python",
            "0.3.36",
            also=_EXTRAS,
            is_built=True,
            from_source="examples/server/server.py",
        )
        arguments = ["--server", str(venv.source_file)] if is_batching else []
        super().__init__(name, venv, "serve_llama_cpp_python.py", arguments)
        self._is_batching = is_batching

    def flags(self, settings: Settings) -> list[str]:
        """A server of one request at a time needs the cells of one."""
        flags = ["--threads", str(settings.threads)]
        if self._is_batching:
            flags += ["--parallel", str(settings.n_parallel)]
        n_cells = settings.kv_tokens if self._is_batching else settings.ctx_tokens
        return [*flags, "--ctx", str(n_cells)]
