"""Works on the batches of this process, and on those of processes that have died."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

from flask import Flask

from pyserve.errors import PyserveError
from pyserve.memory.batches import Archive, BatchState
from pyserve.models.routing import resolve
from pyserve.web.answer.model_names import model_names, served_models
from pyserve.web.batches.places import Places
from pyserve.web.batches.run import BatchRun, Control
from pyserve.web.request.services import services_of

log = logging.getLogger(__name__)

POLL_S = 1.0
SWEEP_S = 600.0
N_AT_ONCE = 4  # batches; the others wait


class BatchRunner:
    """The batches of one front worker: a thread that looks what is to be done, one for each of
    those that run, and those of their lines. It also sweeps out what is stored and has expired."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._parts = services_of(app)
        self._places = Places(self._parts.config.parallel)
        self._running: dict[str, Control] = {}
        self._is_stopping = False
        self._n_turns = 0

    def start(self) -> None:
        """Begin to look; ends with the process."""
        threading.Thread(target=self._loop, name="batches", daemon=True).start()

    def stop(self) -> None:
        """No new lines are begun. Any thread."""
        self._is_stopping = True
        for control in list(self._running.values()):
            control.end("stopped")

    def turn(self) -> None:
        """Begin with what is to be begun, and end what is to be ended."""
        memory = self._parts.memory
        if self._n_turns % (SWEEP_S // POLL_S) == 0:
            memory.sweep()
        self._n_turns += 1
        archive = memory.archive if memory.has_archive else None
        if archive is None or self._is_stopping:
            return
        archive.batches.changed.clear()
        running = set(self._running)  # before it is asked which are over
        states = archive.batches.claim(self._may_claim)
        for state in states:
            if state.id not in running and len(self._running) < N_AT_ONCE:
                self._begin(archive, state)
            control = self._running.get(state.id)
            if control is not None and state.status == "cancelling":
                control.end("cancelled")
            elif control is not None and state.expires <= archive.clock():
                control.end("expired")
        if states:
            n_most = self._parts.config.parallel
            self._places.resize(max(n_most // archive.batches.n_owners(), 1))

    def _loop(self) -> None:
        while not self._is_stopping:
            try:
                self.turn()
            except (OSError, sqlite3.Error):
                log.exception("batches cannot be looked at")
            self._wait()

    def _wait(self) -> None:
        """Until there may be something to do."""
        has_archive = self._parts.memory.has_archive
        archive = self._parts.memory.archive if has_archive else None
        if archive is None:
            time.sleep(POLL_S)
        else:
            archive.batches.changed.wait(POLL_S)

    def _begin(self, archive: Archive, state: BatchState) -> None:
        control = Control(threading.Event())
        run = BatchRun(self._app, archive, state, self._places, control)
        self._running[state.id] = control

        def work() -> None:
            try:
                run.run()
            except Exception:
                log.exception("batch %s", state.id)
            finally:
                del self._running[state.id]
                archive.batches.changed.set()

        self._parts.background.start(work)
        if self._is_stopping:
            control.end("stopped")

    def _may_claim(self, state: BatchState) -> bool:
        """Whether this server has the model of a batch whose process has died."""
        if state.model is None:
            return True
        with self._app.app_context():
            names = model_names(self._parts.config, served_models())
        try:
            for model in (state.model, *state.other_models):
                resolve(model, None, names, strict=self._parts.config.strict_model_names)
        except PyserveError:
            return False
        return True
