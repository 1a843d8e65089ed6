"""Terminal output of `pyserve serve`: loading progress, how to connect, and later failures."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.config import ServeConfig
from pyserve.engine.protocol import ModelInfo
from pyserve.errors import ErrorInfo, ModelLoadError

KEY_HEADER = '-H "Authorization: Bearer KEY" '
ANY_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}


class Announcer:
    """An observer of the supervisor that tells the user; failures go to `err`. Thread: one.

    advice: said once, when the server is ready.
    """

    def __init__(self, config: ServeConfig, *, out: TextIO, err: TextIO, advice: str = "") -> None:
        self._url = front_url(config)
        self._socket_path = config.socket_path
        self._has_keys = bool(config.api_key or config.api_key_file)
        self._out = out
        self._err = err
        self._advice = advice
        self._shown: dict[str, str] = {}
        self._is_announced = False

    def __call__(self, models: Sequence[ModelStatus], is_front_up: bool) -> None:
        for status in models:
            line = describe(status)
            if self._shown.get(status.id) != line:
                self._shown[status.id] = line
                self._print(line, self._err if status.state == "failed" else self._out)
        is_settled = all(status.state != "loading" for status in models)
        ready = [status for status in models if status.state == "ready"]
        ready += [status for status in models if status.state == "unloaded"]
        if is_front_up and is_settled and ready and not self._is_announced:
            self._is_announced = True
            text = banner(self._url, ready, self._socket_path, has_keys=self._has_keys)
            self._print(text, self._out)
            if self._advice:
                self._print(self._advice, self._out)

    def _print(self, text: str, file: TextIO) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads us: serve nevertheless
            print(text, file=file, flush=True)


class ClusterAnnouncer:
    """An observer of a supervisor without models: tells when the front is up. Thread: one."""

    def __init__(self, config: ServeConfig, *, out: TextIO) -> None:
        self._url = front_url(config)
        self._cluster = config.cluster
        self._out = out
        self._is_announced = False

    def __call__(self, models: Sequence[ModelStatus], is_front_up: bool) -> None:
        del models
        if is_front_up and not self._is_announced:
            self._is_announced = True
            with contextlib.suppress(OSError, ValueError):  # nobody reads us: serve nevertheless
                print(
                    f"\npyserve is ready at {self._url} (OpenAI API under {self._url}/v1) with the "
                    f"models of the cluster {self._cluster}. Ctrl-C ends it.",
                    file=self._out,
                    flush=True,
                )


def describe(status: ModelStatus) -> str:
    """One line about a model."""
    match status.state:
        case "ready" if status.info is not None:
            return f"model {status.id}: ready, {summary(status.info)}"
        case "failed" if status.error is not None:
            return f"model {status.id}: failed: {status.error.message}{_remedy(status.error)}"
        case "loading" if status.n_restarts > 0:
            return f"model {status.id}: the engine ended, loading it again ..."
        case "unloaded":
            return f"model {status.id}: is loaded when it is asked for"
        case "loading":
            return f"loading model {status.id} ..."
        case state:
            return f"model {status.id}: {state}"


def _remedy(error: ErrorInfo) -> str:
    """Advice on a model that cannot be loaded, where its message gives none."""
    if error.code != ModelLoadError.code:
        return ""
    return "\n  A request for it tries again. If the file is damaged, get it again."


def summary(info: ModelInfo) -> str:
    """Size, quantization, context, threads and load time in words."""
    return (
        f"{info.architecture}, {info.n_params / 1e6:,.0f}M parameters, quantization "
        f"{info.quantization}, context {info.n_ctx:,} tokens, {info.n_threads} threads, "
        f"loaded in {info.load_ms / 1000:.1f} s"
    )


def banner(
    url: str,
    ready: Sequence[ModelStatus],
    socket_path: Path | None = None,
    *,
    has_keys: bool = False,
) -> str:
    """The server's address and a command to try it, with the first of the models.

    has_keys: the command says where one of them goes.
    """
    body = {
        "model": ready[0].id,
        "messages": [{"role": "user", "content": "Say this is a test!"}],
    }
    text = msgspec.json.encode(body).decode()
    where, way = url, ""
    if socket_path is not None:
        where, way = (
            f"{url} through {socket_path}",
            f"--unix-socket {shlex.quote(str(socket_path))} ",
        )
    return (
        f"\npyserve is ready at {where} (OpenAI API under {url}/v1). Try it:\n\n"
        f"curl {way}{url}/v1/chat/completions {KEY_HEADER if has_keys else ''}"
        f'-H "Content-Type: application/json" '
        f"-d {shlex.quote(text)}\n\nCtrl-C ends it."
    )


def front_url(config: ServeConfig) -> str:
    """The server's URL; that of a Unix socket has the name of this machine."""
    host = "localhost" if config.socket_path else f"{url_host(config.host)}:{config.port}"
    return f"{'https' if config.is_tls else 'http'}://{host}{config.api_prefix}"


def url_host(host: str) -> str:
    """The host as a client on this machine writes it in a URL."""
    if host in ANY_HOSTS:
        return ANY_HOSTS[host]
    return f"[{host}]" if ":" in host else host
