"""`background: true`: the answer goes on when the client has gone, and is stored as it comes."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import replace

from pyserve.errors import CancelledError
from pyserve.openai.responses.events import ResponsesAnswer
from pyserve.web.answer.generation import Generation, MakeAnswer
from pyserve.web.answer.sse import failure_of
from pyserve.web.answer.target import Target
from pyserve.web.request.admission import admit
from pyserve.web.request.caller import current_caller
from pyserve.web.request.disconnect import ClientWatch
from pyserve.web.request.services import services
from pyserve.web.stored.recording import BackgroundRecording

log = logging.getLogger(__name__)


class UnwantedError(CancelledError):
    """The response was cancelled or deleted while it was worked on."""


class BackgroundWatch(ClientWatch):
    """Looks whether the response is still wanted, in place of its client's socket."""

    def __init__(self, recording: BackgroundRecording) -> None:
        super().__init__({})
        self._recording = recording

    def check(self) -> None:
        if not self._recording.is_wanted():
            raise UnwantedError("the response was cancelled")


def run_in_background(
    target: Target, make_answer: MakeAnswer[ResponsesAnswer], recording: BackgroundRecording
) -> None:
    """Begin with the answer to the current request; returns at once.

    It counts against the limits of its key and of the server until it ends. A server that stops
    waits for it as it waits for streams. Raises what `admit` raises.
    """
    caller = replace(current_caller(), watch=BackgroundWatch(recording))
    parts = services()
    generation = Generation(parts, admit(), caller)
    try:
        recording.begin()
    except BaseException:
        generation.close()
        raise

    def run() -> None:
        try:
            _run(generation, target, make_answer, recording, caller.request_id)
        except sqlite3.Error:
            log.exception("response %s is not stored to its end", recording.head.id)
        finally:
            generation.close()

    parts.background.start(run)


def _run(
    generation: Generation,
    target: Target,
    make_answer: MakeAnswer[ResponsesAnswer],
    recording: BackgroundRecording,
    request_id: str,
) -> None:
    answer: ResponsesAnswer | None = None
    try:
        answer = generation.start(target, make_answer)
        recording.start(answer.open())
        for item in generation.deltas():
            events = [] if item is None else answer.push(*item)
            if events:
                recording.add(events)
        recording.add(answer.close())
    except sqlite3.Error:
        raise
    except UnwantedError:
        recording.flush()
    except Exception as error:
        told = failure_of(error, request_id).error
        if answer is None:
            recording.fail(told)
        else:
            recording.add(answer.fail(told))
