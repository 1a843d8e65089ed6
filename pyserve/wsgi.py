"""The WSGI application for gunicorn, connected to the engines of a supervisor."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import Any

from pyserve.app import create_app
from pyserve.backend.client import SupervisorBackend
from pyserve.backend.environment import (
    KEY_COUNTS_FD_ENV,
    LIFELINE_FD_ENV,
    RUNTIME_DIR_ENV,
    SUPERVISOR_SOCKET_ENV,
)
from pyserve.backend.runtime import CONTROL_NAME
from pyserve.cluster.backend import ClusterBackend
from pyserve.config import ServeConfig
from pyserve.errors import UnavailableError
from pyserve.process.logs import configure_logs
from pyserve.supervisor.starter import SupervisorStarter
from pyserve.web.batches.runner import BatchRunner
from pyserve.web.connection.drain import on_drain_begin, on_drain_end
from pyserve.web.keys.shared_counts import SharedCounts
from pyserve.web.keys.usage import Usage
from pyserve.web.pulls.watching import watchers_of
from pyserve.web.request import access_log
from pyserve.web.request.otlp import OtlpExporter

FIRST_STATUS_S = 5.0
USAGE_NAME = "usage.sqlite"


def connect_backend() -> SupervisorBackend | ClusterBackend:
    """The models of the cluster, or of the supervisor in the environment, or of one started now."""
    revival: dict[str, Any] = {
        "successor_wait_s": config.load_timeout_s,
        "resumes_streams": config.resume_streams,
    }
    control = os.environ.get(SUPERVISOR_SOCKET_ENV)
    if config.cluster:
        watched_at = None if control is None else Path(control)
        return ClusterBackend(config.cluster, control_path=watched_at, **revival)
    if control is not None:
        return SupervisorBackend(Path(control), **revival)
    if RUNTIME_DIR_ENV not in os.environ:
        raise RuntimeError(
            "start this with `pyserve serve`, or with "
            "`gunicorn -c python:pyserve.gunicorn_conf pyserve.wsgi:app`"
        )
    runtime_dir = Path(os.environ[RUNTIME_DIR_ENV])
    starter = SupervisorStarter(runtime_dir, int(os.environ[LIFELINE_FD_ENV]))
    return SupervisorBackend(runtime_dir / CONTROL_NAME, before_connect=starter, **revival)


def key_counts() -> SharedCounts | None:
    """The counts that all workers of this master share."""
    fd = os.environ.get(KEY_COUNTS_FD_ENV)
    return None if fd is None else SharedCounts(int(fd))


def count_usage(runtime_dir: Path) -> Usage:
    """The usage of all workers, in `--usage-file` or, as long as the server runs, in memory."""
    usage = Usage(config.usage_file or runtime_dir / USAGE_NAME)
    usage.start()
    atexit.register(usage.flush)
    return usage


def export_span() -> OtlpExporter | None:
    """The way of spans to `--otlp-endpoint`."""
    if config.otlp_endpoint is None:
        return None
    exporter = OtlpExporter(config.otlp_endpoint)
    atexit.register(exporter.close)
    return exporter


def end_streams() -> None:
    """Send clients of running streams the reason why they end."""
    backend.abort(UnavailableError("the server is shutting down", retry_after_s=5))


config = ServeConfig()
configure_logs(
    config.log_level,
    config.log_format,
    "front",
    context=access_log.context,
    file=config.log_file,
)
backend = connect_backend()
backend.wait_known(FIRST_STATUS_S)
on_drain_end(end_streams)
control = os.environ.get(SUPERVISOR_SOCKET_ENV)
app = create_app(
    config,
    backend,
    key_counts=key_counts(),
    usage=count_usage(Path(control).parent if control else Path(os.environ[RUNTIME_DIR_ENV])),
    export_span=export_span(),
)
runner = BatchRunner(app)
on_drain_begin(runner.stop)
on_drain_begin(watchers_of(app).stop)
runner.start()
