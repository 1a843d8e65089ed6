"""Main of an engine process: `python -m pyserve.engine.main CONFIG`, a RunnerConfig as JSON.

Tells its supervisor over an inherited socket when it is ready or why it is not, then sends a
heartbeat every second. Ends on SIGTERM and when the supervisor is gone; ignores SIGINT, because the
supervisor decides. Exit codes: 0 stopped, 1 the model cannot be loaded or the engine failed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from pyserve.engine.config import EngineConfig
from pyserve.engine.kernels import KernelChoice
from pyserve.engine.kv_events.publisher import KvPublisher
from pyserve.engine.prefix_changes import PrefixTeller
from pyserve.engine.prefixes.telling import TellingCore
from pyserve.engine.protocol import EngineCore, ModelInfo
from pyserve.engine.remote.server import EngineServer
from pyserve.engine.remote.wire import (
    Heartbeat,
    KernelsChosen,
    LoadFailed,
    Ready,
    ReportMessage,
    encode,
)
from pyserve.errors import ModelLoadError, PyserveError
from pyserve.gguf.check import check_model_file
from pyserve.process.logs import LogFormat, configure_logs
from pyserve.process.memory import available_bytes
from pyserve.process.output import protect_output
from pyserve.process.parent import die_with_parent, drop_privileges, exit_on_eof
from pyserve.process.sockets import listen

NICENESS = 1  # behind the front, but hardly behind other programs of the machine
OOM_SCORE_ADJ = 500
HEARTBEAT_S = 1.0

log = logging.getLogger(__name__)


class RunnerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """engine: "native" or "fake". report_fd: the inherited socket to the supervisor."""

    engine: str
    config: EngineConfig
    socket_path: str
    report_fd: int
    log_level: str = "info"
    log_format: LogFormat = "text"
    log_file: str | None = None


class Reporter:
    """Sends reports to the supervisor. Never blocks: what cannot be sent is dropped."""

    def __init__(self, report_fd: int) -> None:
        self.connection = socket.socket(fileno=report_fd)
        self._beaten_at = time.monotonic()
        self._adapter_scales: dict[str, float] = {}

    def send(self, message: ReportMessage) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(encode(message), socket.MSG_DONTWAIT)

    def beat(self, core: EngineCore) -> None:
        """Send a heartbeat unless a recent one had the same adapter scales."""
        now = time.monotonic()
        scales = core.adapter_scales({})
        if now - self._beaten_at >= HEARTBEAT_S or scales != self._adapter_scales:
            self._beaten_at = now
            self._adapter_scales = scales
            self.send(Heartbeat(stalled_ms=core.stats().stalled_ms, adapter_scales=scales))


class Kind(NamedTuple):
    """An engine that can be run. load_core: after choose_kernels; raises ModelLoadError."""

    choose_kernels: Callable[[str], KernelChoice]
    load_core: Callable[[EngineConfig], EngineCore]


def find_kind(name: str) -> Kind:
    """The engine of that name. Raises ModelLoadError if it is unknown or cannot be used here."""
    if name == "native":
        try:
            # Only here is it needed.
            from pyserve.engine.native import NativeCore, choose_kernels  # noqa: PLC0415
        except ImportError as error:  # not built, or built for another CPU: the message says it
            raise ModelLoadError(f"the native engine cannot be used: {error}") from error
        return Kind(choose_kernels, _checked(NativeCore))
    if name == "fake":
        from pyserve.engine.fake import core, kernels  # noqa: PLC0415

        return Kind(kernels.choose_kernels, core.FakeCore)
    raise ModelLoadError(f"there is no engine {name!r}: choose native or fake")


def _checked(make: Callable[[EngineConfig], EngineCore]) -> Callable[[EngineConfig], EngineCore]:
    """`make`, preceded by checks of the files and of available memory."""

    def load_core(config: EngineConfig) -> EngineCore:
        paths = [config.model_path, *(adapter.path for adapter in config.adapters)]
        for path in (*paths, config.draft_model_path):
            if path:
                check_model_file(Path(path))
        return make(msgspec.structs.replace(config, n_bytes_available=available_bytes()))

    return load_core


def load(config: RunnerConfig, reporter: Reporter, ending: contextlib.ExitStack) -> EngineServer:
    """The server of a loaded model, listening. SIGTERM stops it. Raises when the load fails.

    ending: gets what has to be done when the server has ended, or the load has failed.
    """
    kind = find_kind(config.engine)
    choice = kind.choose_kernels(config.config.kernels)
    reporter.send(KernelsChosen(choice=choice))
    exit_on_eof(reporter.connection)  # not before: kernels are proved while there is one thread
    core = kind.load_core(msgspec.structs.replace(config.config, kernels=choice.kernels))
    try:
        _publish_prefixes(core, config.config, ending)
        listener = listen(Path(config.socket_path))
    except BaseException:
        core.close()
        raise
    server = EngineServer(TellingCore(core), listener, on_tick=partial(reporter.beat, core))
    signal.signal(signal.SIGTERM, lambda _signal, _frame: server.stop())
    info = core.info()
    log.info("%s: %s", config.config.model_id, _summary(info))
    reporter.send(Ready(info=info))
    return server


def _publish_prefixes(core: EngineCore, config: EngineConfig, ending: contextlib.ExitStack) -> None:
    """With `kv_events`: until the core is closed. Raises ModelLoadError where it cannot.

    Its thread must have ended before the interpreter does: that ends threads which come back from
    C++, and C++ answers by aborting the process.
    """
    if config.kv_events and isinstance(core, PrefixTeller):
        ending.callback(KvPublisher(core, config).close)


def _summary(info: ModelInfo) -> str:
    mib = [n_bytes >> 20 for n_bytes in (info.size_bytes, info.kv_bytes, info.compute_bytes)]
    return (
        f"loaded in {info.load_ms / 1000:.1f} s; {info.n_threads} threads, "
        f"{info.n_threads_batch} for prompts; kernels for {info.kernels or 'none'}; "
        f"MiB: weights {mib[0]}, KV cache {mib[1]} "
        f"({info.n_kv} tokens, {info.cache_type_k}/{info.cache_type_v}), computing {mib[2]}"
        + (f"; drafts of {info.guesser}" if info.guesser else "")
    )


def be_a_child() -> None:
    """Lower this process's priority, make it first for the OOM killer, bind it to its parent."""
    for sig in (signal.SIGINT, signal.SIGUSR1):  # for the supervisor
        signal.signal(sig, signal.SIG_IGN)
    die_with_parent(signal.SIGKILL)
    drop_privileges()
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ), encoding="ascii")


def main(argv: list[str]) -> int:
    config = msgspec.json.decode(argv[1], type=RunnerConfig)
    protect_output()
    configure_logs(
        config.log_level,
        config.log_format,
        config.config.model_id,
        prefix="engine",
        file=config.log_file,
    )
    reporter = Reporter(config.report_fd)
    be_a_child()
    with contextlib.ExitStack() as ending:
        return run(config, reporter, ending)


def run(config: RunnerConfig, reporter: Reporter, ending: contextlib.ExitStack) -> int:
    """Load and serve; the exit code. ending: as `load` has it."""
    try:
        server = load(config, reporter, ending)
    except PyserveError as error:
        reporter.send(LoadFailed(error=error.to_info()))
        return 1
    except Exception as error:
        log.exception("the model cannot be loaded")
        reporter.send(LoadFailed(error=ModelLoadError(str(error)).to_info()))
        return 1
    try:
        server.run()
    except Exception:
        log.exception("the engine failed")
        return 1
    finally:
        Path(config.socket_path).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
