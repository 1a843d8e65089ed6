"""gunicorn's settings: `gunicorn -c python:pyserve.gunicorn_conf pyserve.wsgi:app`.

`pyserve serve` starts gunicorn with them too. They come from `ServeConfig`, so PYSERVE_* sets them.
"""

from __future__ import annotations

import os
import resource
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

from pyserve.backend.environment import (
    KEY_COUNTS_FD_ENV,
    LIFELINE_FD_ENV,
    LISTEN_FD_ENV,
    RUNTIME_DIR_ENV,
    SUPERVISOR_SOCKET_ENV,
)
from pyserve.backend.runtime import SHARED_MEMORY, create_runtime_dir
from pyserve.config import ServeConfig, read_config
from pyserve.errors import PyserveError
from pyserve.process.logs import JsonFormatter
from pyserve.process.malloc import keep_little
from pyserve.process.output import protect_output
from pyserve.process.parent import die_with_parent
from pyserve.web.connection.master import Master
from pyserve.web.connection.tls import check_tls, worker_context
from pyserve.web.keys.keys import check_access
from pyserve.web.keys.shared_counts import create_memory
from pyserve.web.request.otlp import check_otlp

RESERVE_THREADS = 64  # for /health and refusals while all streams, and slow bodies, have theirs
MAX_CONNECTIONS = 4096
MEASURES = "measures"
MEASURES_ENV = "PROMETHEUS_MULTIPROC_DIR"  # of prometheus_client
RESERVE_FILES = 32  # of a front worker, beside its connections


def _settings() -> ServeConfig:
    try:
        config = read_config({})
        check_access(config)
        check_tls(config)
        check_otlp(config)
    except PyserveError as error:
        sys.exit(f"Error: {error.message}")
    return config


protect_output()
_config = _settings()
os.environ.update(_config.to_environ())  # for the processes of a user's own gunicorn
_is_supervised = SUPERVISOR_SOCKET_ENV in os.environ
_lifeline_writers: list[int] = []
os.environ[KEY_COUNTS_FD_ENV] = str(create_memory())
_tmp_dirs = [SHARED_MEMORY, str(Path(os.environ.get(SUPERVISOR_SOCKET_ENV, "/tmp/x")).parent)]


def _bind() -> str:
    if LISTEN_FD_ENV in os.environ:
        return f"fd://{os.environ[LISTEN_FD_ENV]}"
    if _config.socket_path is not None:
        return f"unix:{_config.socket_path}"
    host = f"[{_config.host}]" if ":" in _config.host else _config.host
    return f"{host}:{_config.port}"


def _max_connections() -> int:
    """The limit of open files, after raising the soft limit to the hard one."""
    _, n_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if n_files == resource.RLIM_INFINITY:
        n_files = MAX_CONNECTIONS + RESERVE_FILES
    n_files = min(n_files, MAX_CONNECTIONS + RESERVE_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, n_files))
    return max(n_files - RESERVE_FILES, 2)


bind = _bind()
umask = 0o777 & ~int(_config.socket_mode, 8)  # of a Unix socket, and a worker's own file
certfile = None if _config.ssl_cert_file is None else str(_config.ssl_cert_file.expanduser())
keyfile = None if _config.ssl_key_file is None else str(_config.ssl_key_file.expanduser())
backlog = 1024
workers = _config.workers
worker_class = "pyserve.web.connection.worker.Worker"
worker_connections = _max_connections()
threads = min(_config.max_streams + RESERVE_THREADS, worker_connections - 1)
keepalive = 65  # longer than the pools of clients keep a connection
timeout = 30
graceful_timeout = _config.graceful_timeout_s
preload_app = False
reuse_port = False
control_socket_disable = True
worker_tmp_dir = next((base for base in _tmp_dirs if os.access(base, os.W_OK)), None)
limit_request_fields = 64
# `web/request/authority.py` has them; gunicorn would trust whoever comes through a Unix socket.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
loglevel = "warning" if _is_supervised and _config.log_level == "info" else _config.log_level
proc_name = "pyserve"
errorlog = _config.log_file or "-"
_file_handler = {"class": "logging.handlers.WatchedFileHandler", "filename": _config.log_file}
if _config.log_format == "json":
    logconfig_dict = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": JsonFormatter, "process": "gunicorn", "context": dict},
        },
        "handlers": {
            "output": {"formatter": "json"}
            | (_file_handler if _config.log_file else {"class": "logging.StreamHandler"})
        },
        "root": {"handlers": []},
        "loggers": {
            "gunicorn.error": {
                "level": loglevel.upper(),
                "handlers": ["output"],
                "propagate": False,
            },
        },
    }


def on_starting(server: Any) -> None:
    """Makes the master ours. Without a supervisor: prepares directory and lifeline for one.

    The first worker starts it.
    """
    server.__class__ = Master
    if _is_supervised:
        _keep_measures(Path(os.environ[SUPERVISOR_SOCKET_ENV]).parent)
        return
    reader, writer = os.pipe()
    _lifeline_writers.append(writer)
    os.environ[RUNTIME_DIR_ENV] = str(create_runtime_dir())
    os.environ[LIFELINE_FD_ENV] = str(reader)
    _keep_measures(Path(os.environ[RUNTIME_DIR_ENV]))


def _keep_measures(runtime_dir: Path) -> None:
    """Workers keep what they measure in files there, so that each can tell that of all."""
    directory = runtime_dir / MEASURES
    directory.mkdir(mode=0o700, exist_ok=True)
    os.environ[MEASURES_ENV] = str(directory)


def when_ready(server: Any) -> None:
    """Leaves a socket file to the supervisor: its next gunicorn listens on the same socket."""
    server.systemd = LISTEN_FD_ENV in os.environ


def ssl_context(conf: Any, _default: Any) -> ssl.SSLContext:
    """The context of this worker."""
    return worker_context(conf.certfile, conf.keyfile)


def post_fork(_server: Any, worker: Any) -> None:
    """Ends a worker with its master, and closes its copy of the master's lifeline."""
    keep_little()
    for writer in _lifeline_writers:
        os.close(writer)
    die_with_parent(signal.SIGKILL)
    if os.getppid() != worker.ppid:
        sys.exit("the gunicorn master is gone")
