"""Starts child processes: engines and gunicorn, each by exec and bound to the supervisor's life."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Container, Iterator
from pathlib import Path

import msgspec

from pyserve.backend.environment import LISTEN_FD_ENV, SUPERVISOR_SOCKET_ENV
from pyserve.config import ServeConfig
from pyserve.engine.config import EngineConfig
from pyserve.engine.main import RunnerConfig

STDERR_FD = 2
_TUNABLES_ENV = "GLIBC_TUNABLES"
# Each thread of glibc keeps up to 200 KiB of freed blocks for itself, which fill up for hours and
# are 25 MiB in a front. Its threads take turns, so they gain nothing by it.
_NO_THREAD_CACHE = "glibc.malloc.tcache_count=0"
# An engine's KV cache, graphs and logits in huge pages, where the system grants them on demand.
_HUGE_PAGES = "glibc.malloc.hugetlb=1"
_NEEDED = frozenset({"PATH", "LANG", "TZ", "TMPDIR", "HOME", "VIRTUAL_ENV"})
_NEEDED_PREFIXES = ("LC_", "LD_", "PYTHON", "PYSERVE_", "COV", "ASAN_", "TSAN_", "UBSAN_", "LSAN_")
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")


def engine_environ(environ: dict[str, str]) -> dict[str, str]:
    """An engine's environment: paths and our own settings, nothing else."""
    needed = {
        name: value
        for name, value in environ.items()
        if (name in _NEEDED or name.startswith(_NEEDED_PREFIXES))
        and not any(word in name.upper() for word in _SECRET_WORDS)
    }
    return needed | _tunables(_HUGE_PAGES, environ)


def front_environ(environ: dict[str, str]) -> dict[str, str]:
    """A front's environment: all of ours, and glibc tunables."""
    return environ | _tunables(_NO_THREAD_CACHE, environ)


def _tunables(ours: str, environ: dict[str, str]) -> dict[str, str]:
    """The value of GLIBC_TUNABLES: the user's settings win over ours."""
    theirs = environ.get(_TUNABLES_ENV)
    return {_TUNABLES_ENV: f"{ours}:{theirs}" if theirs else ours}  # the last one wins


def start_engine(
    config: ServeConfig, engine: EngineConfig, socket_path: Path
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start an engine process; returns it and its report socket. Raises OSError."""
    ours, theirs = socket.socketpair()
    with theirs:
        runner = RunnerConfig(
            engine=config.engine,
            config=engine,
            socket_path=str(socket_path),
            report_fd=theirs.fileno(),
            log_level=config.log_level,
            log_format=config.log_format,
            log_file=config.log_file,
        )
        text = msgspec.json.encode(runner).decode()
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pyserve.engine.main", text],
                stdin=subprocess.DEVNULL,
                stdout=STDERR_FD,
                env=engine_environ(dict(os.environ)),
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)
    return process, ours


def start_front(
    config: ServeConfig, listener: socket.socket, control_path: Path
) -> subprocess.Popen[bytes]:
    """Start gunicorn with our settings; `let_serve` has it serve `listener`. Raises OSError.

    Until then it imports what it needs, so that this may go on beside other work. It ends when its
    standard input does.
    """
    environ = front_environ(os.environ | config.to_environ())
    environ[SUPERVISOR_SOCKET_ENV] = str(control_path)
    environ[LISTEN_FD_ENV] = str(listener.fileno())
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "pyserve.supervisor.front_main", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=STDERR_FD,
        env=environ,
        pass_fds=[listener.fileno()],
        process_group=0,
    )


def let_serve(front: subprocess.Popen[bytes]) -> None:
    """Have gunicorn begin: there is a supervisor at the control socket."""
    assert front.stdin is not None
    with contextlib.suppress(OSError), front.stdin:  # it has ended
        front.stdin.write(b"serve\n")


@contextlib.contextmanager
def waiting_front(
    config: ServeConfig, listener: socket.socket, control_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The front process from `start_front`; one that was never let serve is ended afterwards."""
    front = start_front(config, listener, control_path)
    try:
        yield front
    finally:
        assert front.stdin is not None
        if not front.stdin.closed:
            front.stdin.close()
            front.kill()
        front.wait()


def reap_orphans(known: Container[int | None]) -> None:
    """Collect children that ended and are not `known`; never waits for one that runs.

    As process 1 of a container we inherit what others leave behind. A known child that has ended
    stays for its owner to collect, and may hide orphans until then.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in known:
            return
        os.waitpid(ended.si_pid, 0)


def describe_exit(returncode: int) -> str:
    """Describes the end of a process: "SIGSEGV" or "exit code 3"."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
