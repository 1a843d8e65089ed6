"""llama-server of the vendored llama.cpp: the reference.

`make bench` builds it with the options of our own build. The native thread pool (no OpenMP) is the
faster one for a single stream. Whether separate or unified KV streams are better depends on the
workload, so both are measured and the better one counts.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.peers.peer import Command, PeerError, Settings

DEFAULT_BINARY = Path("build/bench/bin/llama-server")


def binary() -> Path:
    return Path(os.environ.get("PYSERVE_LLAMA_SERVER") or DEFAULT_BINARY)


@dataclass(frozen=True)
class LlamaServer:
    """is_unified: one KV cache for all slots instead of an equal share for each."""

    name: str = "llama-server"
    is_unified: bool = False

    def is_available(self) -> bool:
        return os.access(binary(), os.X_OK)

    def install(self) -> None:
        """The Makefile builds it, since that takes minutes and both cores."""
        if not self.is_available():
            raise PeerError(f"no {binary()}; run: make {DEFAULT_BINARY}")

    def version(self) -> str:
        found = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=False)
        lines = (found.stderr + found.stdout).splitlines()
        return next((line for line in lines if line.startswith("version")), "unknown")

    def command(self, settings: Settings) -> Command:
        flags = ["--threads", str(settings.threads), "-np", str(settings.n_parallel)]
        flags += ["-c", str(settings.kv_tokens), "-fa", "on", "--no-webui"]
        flags += ["-kvu" if self.is_unified else "-no-kvu"]
        argv = [str(binary()), "-m", str(settings.model), "--host", "127.0.0.1"]
        return Command([*argv, "--port", str(settings.port), *flags], flags)
