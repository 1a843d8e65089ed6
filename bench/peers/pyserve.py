"""Our own server, with its defaults or with flags and environment to try."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyserve
from bench.peers.peer import Command, PeerError, Settings

_VARIANT = re.compile(r"(?P<name>[\w.-]+)=(?P<words>.*)", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=.*", re.DOTALL)

OWN = Path(sys.executable).with_name("pyserve")


@dataclass(frozen=True)
class Pyserve:
    """`pyserve serve` of the running environment, or of another one, whose program is named."""

    name: str = "pyserve"
    extra_flags: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    program: Path = OWN

    def is_available(self) -> bool:
        return True

    def install(self) -> None:
        """Nothing to do: the bench runs in an environment that has it."""

    def version(self) -> str:
        return pyserve.__version__

    def command(self, settings: Settings) -> Command:
        """Later flags win, so the extra ones come last."""
        flags = ["--threads", str(settings.threads), "--parallel", str(settings.n_parallel)]
        flags += ["--ctx-size", str(settings.ctx_tokens), "--kv-size", str(settings.kv_tokens)]
        flags += self.extra_flags
        argv = [str(self.program), "serve", str(settings.model)]
        argv += ["--port", str(settings.port), "--log-level", "warning"]
        # No run finds what another one has computed.
        environ = {"PYSERVE_PREFIX_CACHE_DISK_MIB": "0", **self.environ}
        return Command([*argv, *flags], flags, environ)


def parse_variant(text: str) -> Pyserve:
    """`NAME=[VARIABLE=VALUE ...] [FLAG ...]`, as in `stock=PYSERVE_KERNELS=stock --parallel 8`.

    The peer's name is `pyserve-NAME`. Raises PeerError.
    """
    match = _VARIANT.fullmatch(text)
    if match is None:
        raise PeerError(f"a variant is NAME=[VARIABLE=VALUE ...] [FLAG ...], not {text!r}")
    words = shlex.split(match["words"])
    environ = {}
    while words and _ASSIGNMENT.fullmatch(words[0]):
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    return Pyserve(f"pyserve-{match['name']}", tuple(words), environ)
