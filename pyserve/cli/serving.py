"""The models of `pyserve serve`, and the supervisor of their engines and of the front."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyserve import __version__
from pyserve.backend.local_servers import LocalServer, write_record
from pyserve.cli.advice import advice_for
from pyserve.cli.announce import Announcer, ClusterAnnouncer, front_url
from pyserve.cli.listener import listen
from pyserve.cli.plan import plan_models, replan_models
from pyserve.cli.stopping import stoppable
from pyserve.cli.warmer import Warmer
from pyserve.config import ServeConfig
from pyserve.supervisor.supervisor import Observer, Supervisor


def run_server(
    config: ServeConfig,
    directory: Path,
    listener: socket.socket,
    front: subprocess.Popen[bytes],
    check_front: Callable[[ServeConfig], None],
) -> int:
    """Serve until told to stop; returns the exit code.

    directory: the server's runtime directory. listener: bound. front: a gunicorn that waits.
    check_front: as `Supervisor` wants it. Raises PyserveError with a text for the user.
    """
    models = []
    if not config.cluster:
        with stoppable():
            models = plan_models(config)
    listen(listener, config.host)
    write_record(directory, _record(config))
    announcer: Observer = ClusterAnnouncer(config, out=sys.stdout)
    if not config.cluster:
        advice = advice_for(config, [model.id for model in models])
        announcer = Announcer(config, out=sys.stdout, err=sys.stderr, advice=advice)
    supervisor = Supervisor(
        config,
        models,
        directory,
        listener=listener,
        front=front,
        observer=Warmer(config, announcer),
        replan=None if config.cluster else partial(replan_models, config),
        check_front=partial(check_front, config),
    )
    return supervisor.run()


def _record(config: ServeConfig) -> LocalServer:
    url = f"unix:{config.socket_path.absolute()}" if config.socket_path else front_url(config)
    log_file = str(Path(config.log_file).absolute()) if config.log_file else ""
    started = time.time()  # noqa: TID251  # people are told
    return LocalServer(os.getpid(), url, __version__, started, log_file)
