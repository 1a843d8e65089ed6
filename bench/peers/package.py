"""Peers that are Python packages: a main of ours serves them from an environment of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from bench.peers.peer import Command, Settings
from bench.peers.venv import MAINS, Venv


class PackagePeer(ABC):
    """main: a file of `mains/`. arguments: what it is given besides the model, port and flags."""

    def __init__(self, name: str, venv: Venv, main: str, arguments: Sequence[str] = ()) -> None:
        self.name = name
        self._venv = venv
        self._main = main
        self._arguments = arguments

    def is_available(self) -> bool:
        return self._venv.is_made()

    def install(self) -> None:
        self._venv.make()

    def version(self) -> str:
        return self._venv.version

    def command(self, settings: Settings) -> Command:
        flags = self.flags(settings)
        argv = [self._venv.python, str(MAINS / self._main), str(settings.model)]
        argv += ["--port", str(settings.port), *self._arguments]
        return Command([*argv, *flags], flags)

    @abstractmethod
    def flags(self, settings: Settings) -> list[str]:
        """The flags of the main for these settings."""
