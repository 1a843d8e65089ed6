"""The results of a batch: files that only grow, and tell after a crash which lines are done."""

from __future__ import annotations

import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.process.json_line import json_line

OK_FROM, OK_BELOW = 200, 300
SYNC_S = 1.0
BEGIN = b'{"id":"batch_req_'  # of every result


class Answer(msgspec.Struct, frozen=True):
    """What a server said to a line. body: JSON."""

    status_code: int
    request_id: str
    body: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """Why a line has no answer."""

    code: str
    message: str


class Result(msgspec.Struct, frozen=True):
    """A line of the output."""

    id: str
    custom_id: str
    response: Answer | None
    error: Failure | None

    @property
    def is_ok(self) -> bool:
        return self.response is not None and OK_FROM <= self.response.status_code < OK_BELOW


class Details(msgspec.Struct):
    """Those of tokens."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class AnswerUsage(msgspec.Struct):
    """What an answer says that it has used, in the words of each endpoint."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None


class AnswerBody(msgspec.Struct):
    """The part of an answer's body that is counted."""

    usage: AnswerUsage | None = None


class Tokens(msgspec.Struct):
    """Tokens that all answers have used together."""

    n_input: int = 0
    n_cached: int = 0
    n_output: int = 0
    n_reasoning: int = 0

    def add(self, answer: Answer | None) -> None:
        """Count those of an answer, as far as it tells them."""
        try:
            used = answer and msgspec.json.decode(answer.body, type=AnswerBody).usage
        except msgspec.DecodeError:
            return
        if used:
            read = used.prompt_tokens_details or used.input_tokens_details or Details()
            said = used.completion_tokens_details or used.output_tokens_details or Details()
            apart = used.cache_read_input_tokens or 0  # Anthropic's input_tokens are without these
            self.n_input += apart + (used.prompt_tokens or used.input_tokens or 0)
            self.n_output += used.completion_tokens or used.output_tokens or 0
            self.n_cached += apart + (read.cached_tokens or 0)
            self.n_reasoning += said.reasoning_tokens or 0


def new_result(
    custom_id: str, response: Answer | None = None, error: Failure | None = None
) -> Result:
    """A result with an id of its own."""
    return Result(f"batch_req_{secrets.token_hex(12)}", custom_id, response, error)


class Journal:
    """Results in one file, or those that are no success in another. Any thread.

    n_left: how many of those that failed were not reached.

    Opening it counts what is there, and cuts off what a process that was killed has written in
    part. Raises InvalidRequestError for a file of anything else, which stays as it is, and OSError.
    """

    def __init__(self, output: Path, errors: Path | None = None) -> None:
        self._lock = threading.Lock()
        self.tokens = Tokens()
        self.done: set[str] = set()
        self.n_completed = self.n_failed = self.n_left = 0
        self._output = _File(output)
        self._errors = self._output if errors is None else _File(errors)
        for file in dict.fromkeys((self._output, self._errors)):
            for result in file.recover():
                self._count(result)

    @property
    def n_bytes(self) -> int:
        return sum(file.n_bytes for file in {self._output, self._errors})

    def add(self, result: Result) -> bool:
        """Append a result; whether its line was not done yet. Raises OSError and writes nothing."""
        data = json_line(result) + b"\n"
        with self._lock:
            if result.custom_id in self.done:
                return False
            (self._output if result.is_ok else self._errors).append(data)
            self._count(result)
        return True

    def close(self) -> None:
        """Have everything on the disk. May come twice. Raises OSError."""
        with self._lock:
            for file in {self._output, self._errors}:
                file.close()

    def _count(self, result: Result) -> None:
        self.done.add(result.custom_id)
        self.n_completed += result.is_ok
        self.n_failed += not result.is_ok
        self.n_left += result.response is None
        self.tokens.add(result.response)


class _File:
    """One file of results."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.n_bytes = 0
        self._synced_at = 0.0

    def recover(self) -> list[Result]:
        """The results that are there; what follows the first that is not whole is cut off."""
        found = []
        with os.fdopen(os.dup(self._fd), "rb") as file:
            file.seek(0)
            for line in file:
                result = _whole(line)
                if result is None:
                    self._check_end(line)
                    break
                found.append(_light(result))
                self.n_bytes += len(line)
        os.ftruncate(self._fd, self.n_bytes)
        os.lseek(self._fd, self.n_bytes, os.SEEK_SET)
        return found

    def _check_end(self, line: bytes) -> None:
        """Only the last line may be what was written in part, or what was never written."""
        begun = line.startswith(BEGIN[: len(line)]) and not line.endswith(b"\n")
        if not (begun or not line.strip(b"\0")):
            raise InvalidRequestError(f"{self._path} has other lines than results of a batch")

    def append(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            os.ftruncate(self._fd, self.n_bytes)
            os.lseek(self._fd, self.n_bytes, os.SEEK_SET)
            raise
        self.n_bytes += len(data)
        if time.monotonic() - self._synced_at >= SYNC_S:
            os.fdatasync(self._fd)
            self._synced_at = time.monotonic()

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)


def _whole(line: bytes) -> Result | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line, type=Result)
    except (msgspec.DecodeError, RecursionError):
        return None


def _light(result: Result) -> Result:
    """Without the texts: of a body only what is counted."""
    answer = result.response
    if answer is None:
        return result
    try:
        usage: Any = msgspec.json.decode(answer.body, type=AnswerBody)
    except msgspec.DecodeError:
        usage = {}
    light = msgspec.structs.replace(answer, body=msgspec.Raw(msgspec.json.encode(usage)))
    return msgspec.structs.replace(result, response=light)
