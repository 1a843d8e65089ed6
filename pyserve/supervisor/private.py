"""A supervisor that a process starts for itself, and its connection to it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping

from pyserve.backend.client import SupervisorBackend
from pyserve.backend.runtime import CONTROL_NAME, create_runtime_dir
from pyserve.config import ServeConfig
from pyserve.supervisor.starter import SupervisorStarter

START_S = 30.0  # for the supervisor to tell its models


class PrivateSupervisor:
    """Engines in processes of their own, without a front. Any thread may call any method.

    Nothing is left behind: the processes end with `close`, and when this process does, however.
    backend: the models and their engines.
    """

    def __init__(self, config: ServeConfig, environ: Mapping[str, str]) -> None:
        """Start it, and wait until it has told its models or START_S have passed.

        environ: the supervisor's, in which its settings are those of `config`.
        """
        with contextlib.ExitStack() as stack:
            runtime_dir = create_runtime_dir()
            stack.callback(shutil.rmtree, runtime_dir, ignore_errors=True)
            lifeline, ours = os.pipe()
            stack.callback(os.close, ours)
            stack.callback(os.close, lifeline)
            starter = SupervisorStarter(runtime_dir, lifeline, environ)
            stack.callback(starter.stop)
            self.backend = SupervisorBackend(
                runtime_dir / CONTROL_NAME,
                before_connect=starter,
                successor_wait_s=config.load_timeout_s,
                resumes_streams=config.resume_streams,
            )
            stack.callback(self.backend.close)
            self.backend.wait_known(START_S)
            self.close: Callable[[], None] = stack.pop_all().close
