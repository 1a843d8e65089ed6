"""`pyserve batch`: answers a file of requests into another file, and goes on where it was ended."""

from __future__ import annotations

import fcntl
import itertools
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pyserve.batch.journal import Answer, Journal, new_result
from pyserve.batch.lines import (
    Bounds,
    Input,
    InputError,
    Line,
    read_body,
    read_input,
    refused_field,
)
from pyserve.batch.work import MAX_TRIES, Reply, answered, each_of, seconds_of
from pyserve.cli.errors import explained
from pyserve.cli.run.answering import chat_server
from pyserve.cli.run.screen import Screen
from pyserve.cli.stopping import stoppable
from pyserve.cli.target import key_option, url_option
from pyserve.client.server import NoServerError, Server, ServerAnswerError
from pyserve.errors import InvalidRequestError

MAX_LINES = 10_000_000
BAD_REQUEST = 400
RETRY_S = 1.0
HEADERS = {"X-Background": "true"}


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", help="Of lines that name none; of a server of its own: what it serves.")
@click.option("--concurrency", type=click.IntRange(1, 256), default=16, show_default=True, help="Lines at a time.")  # fmt: skip  # noqa: E501
@url_option
@key_option
def batch(
    source: Path, target: Path, model: str | None, concurrency: int, url: str | None, key: str
) -> None:
    """Answer the requests of IN, one on each line as for OpenAI's batches, into OUT.

    As `pyserve run`, it asks a running server, where the lines run only while nothing else does, or
    one of its own. Run again, it answers the lines that OUT does not have yet.
    """
    with explained(), stoppable():
        found = _read(source)
        with target.open("ab") as file:
            _lock(file, source, target)
            journal = Journal(target)
            _check_ids(found, journal, target)
            n_before = len(journal.done)
            started_s = time.monotonic()
            if n_before < len(found.lines):
                named = model or (found.lines[0].order[1] or None)
                with chat_server(named, url, key, Screen()) as server:
                    Run(source, journal, server.url, key, model).run(found.lines, concurrency)
            journal.close()
    seconds = time.monotonic() - started_s
    click.echo(
        f"{target}: {journal.n_completed} answered, {journal.n_failed} not;"
        f" {len(journal.done) - n_before} of them now, in {seconds:.1f} s;"
        f" {journal.tokens.n_input} tokens in ({journal.tokens.n_cached} from the cache),"
        f" {journal.tokens.n_output} out"
    )
    sys.exit(1 if journal.n_failed else 0)


def _read(source: Path) -> Input:
    """Raises InvalidRequestError with all that is wrong."""
    try:
        return read_input(source, Bounds(n_models=None, max_lines=MAX_LINES))
    except InputError as error:
        texts = [
            f"{source}:{each.line}: {each.message}" if each.line else f"{source}: {each.message}"
            for each in error.problems
        ]
        raise InvalidRequestError("\n".join(texts)) from None


def _lock(file: BinaryIO, source: Path, target: Path) -> None:
    """Raises InvalidRequestError if OUT is IN, or is written by another run."""
    if source.samefile(target):
        raise InvalidRequestError(f"{target} is read and cannot be written")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidRequestError(f"another run writes {target}") from None


def _check_ids(found: Input, journal: Journal, target: Path) -> None:
    others = journal.done - {line.custom_id for line in found.lines}
    if others:
        raise InvalidRequestError(f"{target} has results of other lines: {sorted(others)[0]!r}")


class Run:
    """Lines of a file, asked of one server. `run` once."""

    def __init__(
        self, source: Path, journal: Journal, url: str, key: str, model: str | None
    ) -> None:
        self._journal = journal
        self._url = url
        self._key = key
        self._model = model
        self._file = source.open("rb")
        self._lock = threading.Lock()
        self._local = threading.local()

    def run(self, lines: list[Line], n_threads: int) -> None:
        """Answer those that are not done. Raises NoServerError when the server is gone."""
        columns = (
            TextColumn("{task.completed} of {task.total} lines"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        left = [line for line in lines if line.custom_id not in self._journal.done]
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=len(lines), completed=len(lines) - len(left))

            def work(line: Line) -> None:
                self._journal.add(new_result(line.custom_id, self._answer(line)))
                failed = f"{self._journal.n_failed} failed" if self._journal.n_failed else ""
                progress.update(task, advance=1, description=failed)

            each_of(left, work, min(n_threads, len(left)))

    def _answer(self, line: Line) -> Answer:
        with self._lock:
            body = self._with_model(read_body(self._file, line))
        refused = refused_field(body)
        if refused is not None:
            return _refusal(refused)
        return answered(lambda: self._ask(line.url, body), time.sleep)

    def _with_model(self, body: bytes) -> bytes:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if self._model is None or "model" in fields:
            return body
        named = {"model": msgspec.Raw(msgspec.json.encode(self._model)), **fields}
        return msgspec.json.encode(named)

    def _ask(self, url: str, body: bytes) -> Reply:
        """Raises NoServerError when there has been no server for some time."""
        for n in itertools.count(1):
            try:
                status, headers, content = self._server().ask(url, body, HEADERS)
            except (NoServerError, ServerAnswerError):
                if n >= MAX_TRIES:
                    raise
                time.sleep(RETRY_S)
                continue
            answer = Answer(status, headers.get("X-Request-Id", ""), _json(content))
            return Reply(answer, seconds_of(headers.get("Retry-After")))
        raise AssertionError

    def _server(self) -> Server:
        """That of this thread."""
        found: Server | None = getattr(self._local, "server", None)
        if found is None:
            found = self._local.server = Server(self._url, self._key)
        return found


def _json(content: bytes) -> msgspec.Raw:
    """On one line; what is no JSON becomes a string."""
    try:
        return msgspec.Raw(msgspec.json.format(content, indent=-1))
    except msgspec.DecodeError:
        return msgspec.Raw(msgspec.json.encode(content.decode(errors="replace")))


def _refusal(param: str) -> Answer:
    error = {
        "message": f"{param} is not supported in a batch",
        "type": "invalid_request_error",
        "param": param,
        "code": "unsupported_parameter",
    }
    return Answer(BAD_REQUEST, "", msgspec.Raw(msgspec.json.encode({"error": error})))
