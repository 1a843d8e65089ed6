"""Runs `pyserve serve`: starts the server, and is its supervisor process."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

from pyserve import __version__
from pyserve.backend.local_servers import LocalServer, write_record
from pyserve.backend.runtime import locked_runtime_dir
from pyserve.cli.advice import advice_for
from pyserve.cli.announce import Announcer, front_url
from pyserve.cli.listener import at_address_of, bound_listener, listen, passed_listener
from pyserve.cli.plan import plan_models, replan_models
from pyserve.cli.stopping import stoppable
from pyserve.cli.warmer import Warmer, check_warm
from pyserve.config import ServeConfig
from pyserve.process.logs import configure_logs
from pyserve.process.output import protect_output
from pyserve.supervisor.supervisor import Supervisor
from pyserve.web.connection.tls import check_tls
from pyserve.web.keys.keys import check_access
from pyserve.web.request.otlp import check_otlp


def check_front(config: ServeConfig) -> None:
    """Raises InvalidRequestError if keys or certificates cannot be used as their files are now."""
    check_access(config)
    check_tls(config)
    check_otlp(config)
    check_warm(config)


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
        with stoppable():
            models = plan_models(config)
        listen(listener, config.host)
        with locked_runtime_dir() as directory:
            write_record(directory, _record(config))
            announcer = Announcer(
                config,
                out=sys.stdout,
                err=sys.stderr,
                advice=advice_for(config, [model.id for model in models]),
            )
            supervisor = Supervisor(
                config,
                models,
                directory,
                listener=listener,
                observer=Warmer(config, announcer),
                replan=partial(replan_models, config),
                check_front=partial(check_front, config),
            )
            return supervisor.run()


def _record(config: ServeConfig) -> LocalServer:
    url = f"unix:{config.socket_path.absolute()}" if config.socket_path else front_url(config)
    log_file = str(Path(config.log_file).absolute()) if config.log_file else ""
    started = time.time()  # noqa: TID251  # people are told
    return LocalServer(os.getpid(), url, __version__, started, log_file)
