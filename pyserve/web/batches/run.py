"""Works on one batch, from where a process before has left it to its end."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
from flask import Flask

from pyserve.batch.journal import Failure, Journal, Result, new_result
from pyserve.batch.lines import (
    MAX_MODELS,
    Bounds,
    Input,
    InputError,
    Line,
    Problem,
    read_body,
    read_input,
)
from pyserve.batch.work import Reply, Stopped, answered, each_of
from pyserve.memory.batches import Archive, BatchError, BatchState, Status, result_id
from pyserve.memory.files import FileRecord, is_full
from pyserve.web.batches.call import call
from pyserve.web.batches.places import Places
from pyserve.web.keys.keys import ApiKey
from pyserve.web.request.disconnect import ClientGoneError
from pyserve.web.request.services import Services, services_of

log = logging.getLogger(__name__)

OUTPUT_PURPOSE = "batch_output"
SAVE_S = 1.0
FULL_PAUSE_S = 5.0
Why = Literal["cancelled", "expired", "stopped"]
LEFT: dict[str, Failure] = {
    "cancelled": Failure("batch_cancelled", "the batch was cancelled before this line was done"),
    "expired": Failure("batch_expired", "the completion window ended before this line was done"),
}


@dataclass
class Control:
    """What the runner tells a run. why: it ends before its lines do."""

    changed: threading.Event
    why: Why | None = None

    def end(self, why: Why) -> None:
        if self.why is None:
            self.why = why
        self.changed.set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped."""
        self.changed.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raises Stopped."""
        if self.why is not None:
            raise Stopped

    def check_client(self) -> None:
        """Raises ClientGoneError. What runs when the process stops may come to its end."""
        if self.why in ("cancelled", "expired"):
            raise ClientGoneError("nobody waits for this line of the batch any more")


class BatchRun:
    """One batch. `run` in a thread of its own."""

    def __init__(
        self, app: Flask, archive: Archive, state: BatchState, places: Places, control: Control
    ) -> None:
        self._app = app
        self._parts: Services = services_of(app)
        self._archive = archive
        self._state = state
        self._places = places
        self._control = control
        self._paths = archive.batches.paths(state.id)
        self._lock = threading.Lock()
        self._saved_at = 0.0

    def run(self) -> None:
        """To its end, or until the process stops: then the next one goes on."""
        try:
            self._run()
        except Stopped:
            return
        except InputError as error:
            self._fail(error.problems)
        except FileNotFoundError as error:
            log.warning("batch %s: %s is gone", self._state.id, error.filename)
            self._fail([Problem("file_not_found", "a file of the batch was removed")])
        except Exception as error:
            if is_full(error):
                log.warning("batch %s waits: the disk is full", self._state.id)
                with contextlib.suppress(Stopped):
                    self._control.pause(FULL_PAUSE_S)
                return  # and is begun again
            log.exception("batch %s failed", self._state.id)
            self._fail([Problem("internal_error", "the server could not run the batch")])

    def _run(self) -> None:
        found = self._validated()
        key = self._key()
        self._archive.batches.reopen(self._state.id)
        input_path, *outputs = self._paths
        with contextlib.closing(Journal(*outputs)) as journal:
            self._become(
                "in_progress",
                n_total=len(found.lines),
                model=next(iter(found.models), None),
                other_models=found.models[1:],
            )
            self._save(journal)
            left = [line for line in found.lines if line.custom_id not in journal.done]
            with contextlib.suppress(Stopped), input_path.open("rb") as file:
                self._work_on(left, file, journal, key)
            why = self._control.why
            if why == "stopped":
                raise Stopped
            self._become("finalizing")
            for line in found.lines if why is not None else ():
                if line.custom_id not in journal.done:
                    journal.add(new_result(line.custom_id, error=LEFT[why or ""]))
            self._save(journal)
        self._finish(why)

    def _validated(self) -> Input:
        """Its lines. Raises InputError."""
        n_models = MAX_MODELS if self._state.is_a("msgbatch") else 1
        n_max = self._parts.config.max_body_bytes
        bounds = Bounds(self._state.endpoint, n_models=n_models, max_line_bytes=n_max)
        return read_input(self._paths[0], bounds)

    def _key(self) -> ApiKey | None:
        """The key that the lines count for. Raises InputError if the server has it no more."""
        keys = self._parts.keys
        found = keys.of_digest(bytes.fromhex(self._state.key)) if self._state.key else None
        if found is None and len(keys) > 0:
            text = "the API key of the batch is not valid any more"
            raise InputError([Problem("invalid_api_key", text)])
        return found

    def _work_on(
        self, lines: list[Line], file: BinaryIO, journal: Journal, key: ApiKey | None
    ) -> None:
        """Raises Stopped when it ends before the lines do."""

        def work(line: Line) -> None:
            with self._lock:
                body = read_body(file, line)
            answer = answered(lambda: self._ask(line, body, key), self._control.pause)
            result = new_result(line.custom_id, answer)
            if not result.is_ok:
                self._control.check()  # it may have been ended because of that
            self._record(result, journal)

        each_of(lines, work, self._parts.config.parallel)
        self._control.check()

    def _ask(self, line: Line, body: bytes, key: ApiKey | None) -> Reply:
        with self._places.one(self._control.check):
            return call(self._app, line.url, body, key, self._control.check_client)

    def _record(self, result: Result, journal: Journal) -> None:
        """Store a result, as soon as there is room for it. Raises Stopped."""
        while True:
            try:
                if self._archive.files.has_room():
                    journal.add(result)
                    break
            except OSError as error:
                if not is_full(error):
                    raise
            log.warning("batch %s waits: there is no room for its results", self._state.id)
            self._control.pause(FULL_PAUSE_S)
        with self._lock:
            is_due = time.monotonic() - self._saved_at >= SAVE_S
            self._saved_at = time.monotonic() if is_due else self._saved_at
        if is_due:
            self._save(journal)

    def _become(self, status: Status, **changes: Any) -> None:
        times = {status: self._archive.clock(), **self._state.times}
        self._state = msgspec.structs.replace(self._state, status=status, times=times, **changes)

    def _save(self, journal: Journal) -> None:
        """Tell how far it is."""
        tokens = journal.tokens
        self._state = msgspec.structs.replace(
            self._state,
            n_completed=journal.n_completed,
            n_failed=journal.n_failed,
            n_left=journal.n_left,
            n_input_tokens=tokens.n_input,
            n_cached_tokens=tokens.n_cached,
            n_output_tokens=tokens.n_output,
            n_reasoning_tokens=tokens.n_reasoning,
        )
        self._archive.batches.update(self._state, journal.n_bytes)

    def _finish(self, why: Why | None) -> None:
        results = [self._result_file(path) for path in self._paths[1:] if path.stat().st_size > 0]
        ids = {path: record.id for record, path in results}
        output, errors = self._paths[1:]
        status: Status = "cancelled" if why == "cancelled" else "completed"
        status = "expired" if why == "expired" else status
        self._become(status, output_file_id=ids.get(output), error_file_id=ids.get(errors))
        self._archive.batches.end(self._state, results)

    def _result_file(self, path: Path) -> tuple[FileRecord, Path]:
        created = self._archive.clock()
        record = FileRecord(
            id=result_id(path),
            tenant=self._state.tenant,
            created=created,
            expires=created + self._state.output_ttl_s,
            purpose=OUTPUT_PURPOSE,
            filename=f"{self._state.id}_{path.suffix[1:]}.jsonl",
            n_bytes=path.stat().st_size,
        )
        return record, path

    def _fail(self, problems: list[Problem]) -> None:
        errors = [BatchError(each.code, each.message, each.param, each.line) for each in problems]
        self._become("failed", errors=errors)
        self._archive.batches.end(self._state)
