"""Runs `pyserve serve`: starts the server, and is its supervisor process."""

from __future__ import annotations

import sys
from functools import partial

from pyserve.backend.runtime import locked_runtime_dir
from pyserve.cli.advice import advice_for
from pyserve.cli.announce import Announcer
from pyserve.cli.listener import bind_listener, listen
from pyserve.cli.plan import plan_models, replan_models
from pyserve.cli.stopping import stoppable
from pyserve.config import ServeConfig
from pyserve.process.logs import configure_logs
from pyserve.process.output import protect_output
from pyserve.supervisor.supervisor import Supervisor
from pyserve.web.keys.keys import check_access


def launch(config: ServeConfig) -> int:
    """Serve until told to stop; returns the exit code.

    Raises PyserveError with a text for the user when the server cannot be started.
    Thread: main thread.
    """
    protect_output()
    configure_logs(config.log_level, config.log_format, "supervisor", file=config.log_file)
    check_access(config)
    with bind_listener(config.host, config.port) as listener:
        config = config.model_copy(update={"port": listener.getsockname()[1]})
        with stoppable():
            models = plan_models(config)
        listen(listener, config.host)
        with locked_runtime_dir() as directory:
            announcer = Announcer(
                config.host,
                config.port,
                out=sys.stdout,
                err=sys.stderr,
                advice=advice_for(config, [model.id for model in models]),
            )
            supervisor = Supervisor(
                config,
                models,
                directory,
                listener=listener,
                observer=announcer,
                replan=partial(replan_models, config),
            )
            return supervisor.run()
