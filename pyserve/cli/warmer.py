"""`--warm`: has a server that has become ready compute the prompts of a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from pyserve.backend.protocol import ModelStatus
from pyserve.cli.announce import front_url
from pyserve.cli.warming import read_prompts
from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError

Observer = Callable[[Sequence[ModelStatus], bool], None]


def check_warm(config: ServeConfig) -> None:
    """Raises InvalidRequestError if the file of `--warm` cannot be used."""
    if config.warm is None:
        return
    read_prompts(config.warm)
    if config.socket_path is not None:
        raise InvalidRequestError("--warm needs a server that listens on an address and a port")
    if config.api_key_file is not None and not config.api_key:
        raise InvalidRequestError(
            "--warm has no key: keys of a file are not known in clear. Give one with --api-key, or"
            " run `pyserve cache warm --api-key KEY` when the server is ready"
        )


class Warmer:
    """An observer of the supervisor that starts `pyserve cache warm` once, after `observer`."""

    def __init__(self, config: ServeConfig, observer: Observer) -> None:
        self._config = config
        self._observer = observer
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, models: Sequence[ModelStatus], is_front_up: bool) -> None:
        self._observer(models, is_front_up)
        if self._process is not None:
            self._process.poll()
        elif self._config.warm is not None and is_front_up and _is_settled(models):
            self._process = self._start(str(self._config.warm))

    def _start(self, file: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "pyserve", "cache", "warm", file]
        return subprocess.Popen(
            [*command, "--url", front_url(self._config)],
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYSERVE_WARM_KEYS": " ".join(self._config.api_key)},
        )


def _is_settled(models: Sequence[ModelStatus]) -> bool:
    states = {status.state for status in models}
    return "loading" not in states and bool(states & {"ready", "unloaded"})
