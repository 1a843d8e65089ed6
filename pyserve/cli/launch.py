"""Runs `pyserve serve`: this process becomes the server's supervisor.

The front's process takes longest to import what it needs, so it is started before all else.
"""

from __future__ import annotations

from pyserve.backend.runtime import CONTROL_NAME, locked_runtime_dir
from pyserve.cli.listener import at_address_of, bound_listener, passed_listener
from pyserve.cli.warmer import check_warm
from pyserve.cluster.connection import check_installed
from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError
from pyserve.process.logs import configure_logs
from pyserve.process.output import protect_output
from pyserve.supervisor.processes import waiting_front
from pyserve.web.connection.tls import check_tls
from pyserve.web.keys.keys import check_access
from pyserve.web.request.otlp import check_otlp


def check_cluster(config: ServeConfig) -> None:
    """Raises InvalidRequestError where a cluster's models cannot be served as is asked for."""
    if not config.cluster:
        return
    check_installed()
    if config.models:
        named = ", ".join(config.models)
        raise InvalidRequestError(
            f"--cluster serves the models of the cluster, not {named}: "
            f"`pyserve cluster deploy {named}` adds them there"
        )
    if config.warm is not None:
        raise InvalidRequestError("--warm is for engines of this machine, not for --cluster")


def check_front(config: ServeConfig) -> None:
    """Raises InvalidRequestError if keys or certificates cannot be used as their files are now."""
    check_access(config)
    check_tls(config)
    check_otlp(config)
    check_warm(config)
    check_cluster(config)


def launch(config: ServeConfig) -> int:
    """Serve until told to stop; returns the exit code.

    Raises PyserveError with a text for the user when the server cannot be started.
    Thread: main thread.
    """
    protect_output()
    configure_logs(config.log_level, config.log_format, "supervisor", file=config.log_file)
    passed = passed_listener()
    if passed is not None:
        config = at_address_of(passed, config)
    check_front(config)
    with bound_listener(config, passed) as listener:
        if config.socket_path is None:
            config = config.model_copy(update={"port": listener.getsockname()[1]})
        with (
            locked_runtime_dir() as directory,
            waiting_front(config, listener, directory / CONTROL_NAME) as front,
        ):
            from pyserve.cli.serving import run_server  # noqa: PLC0415  # the front imports, too

            return run_server(config, directory, listener, front, check_front)
