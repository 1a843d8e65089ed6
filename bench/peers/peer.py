"""What the comparison needs to know about a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class PeerError(Exception):
    """A peer cannot be installed or started; the message says why."""


@dataclass(frozen=True)
class Settings:
    """What all peers of one measurement are given alike.

    n_parallel: requests that decode at once. ctx_tokens: longest request.
    kv_tokens: cells of the KV cache shared by all requests.
    """

    model: Path
    port: int
    threads: int
    n_parallel: int
    ctx_tokens: int
    kv_tokens: int


@dataclass(frozen=True)
class Command:
    """How to start a server. flags: the part of the command that goes into the results.

    argv ends with flags; what comes before are paths of this machine.
    """

    argv: list[str]
    flags: list[str]
    environ: Mapping[str, str] = field(default_factory=dict)


class Peer(Protocol):
    """One server, or one set of its flags. Immutable."""

    @property
    def name(self) -> str:
        """The name in results and on the command line."""

    def is_available(self) -> bool:
        """Whether it can be started now."""

    def install(self) -> None:
        """Make it available, which may take minutes. Raises PeerError."""

    def version(self) -> str:
        """Its version, as it says itself. REQUIRES: is_available()."""

    def command(self, settings: Settings) -> Command:
        """The command that serves the OpenAI chat endpoint on the loopback port."""
