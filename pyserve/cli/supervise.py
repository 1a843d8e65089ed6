"""Main of a supervisor without a front.

`python -m pyserve.cli.supervise RUNTIME_DIR LIFELINE_FD [silent]`.

Started by the first worker of a gunicorn that `pyserve serve` did not start, or by `pyserve.LLM`,
and ends with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyserve.backend.protocol import ModelStatus
from pyserve.cli.announce import Announcer
from pyserve.cli.plan import plan_models, replan_models
from pyserve.cli.stopping import stoppable
from pyserve.config import ServeConfig
from pyserve.errors import PyserveError
from pyserve.process.logs import configure_logs
from pyserve.process.output import protect_output
from pyserve.supervisor.supervisor import Supervisor


def stop_at_eof(lifeline_fd: int) -> threading.Event:
    """SIGTERM for this process when gunicorn has closed the other end. Starts a thread.

    The returned event is set then.
    """
    is_cut = threading.Event()

    def watch() -> None:
        while os.read(lifeline_fd, 1):
            pass
        is_cut.set()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    return is_cut


def say_nothing(_models: Sequence[ModelStatus], _is_front_up: bool) -> None:
    """An observer for programs that have no server to announce."""


def main(argv: list[str]) -> int:
    runtime_dir, lifeline_fd = Path(argv[1]), int(argv[2])
    config = ServeConfig()
    protect_output()
    configure_logs(config.log_level, config.log_format, "supervisor", file=config.log_file)
    is_cut = stop_at_eof(lifeline_fd)
    try:
        with stoppable():
            models = plan_models(config)
        announcer = Announcer(config, out=sys.stderr, err=sys.stderr)
        supervisor = Supervisor(
            config,
            models,
            runtime_dir,
            must_load=False,
            observer=say_nothing if argv[3:] == ["silent"] else announcer,
            replan=partial(replan_models, config),
        )
        return supervisor.run()
    except PyserveError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        return 1
    finally:
        if is_cut.is_set():
            shutil.rmtree(runtime_dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
