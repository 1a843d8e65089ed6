"""`pyserve bench`: how fast a model answers here, one request at a time and many."""

from __future__ import annotations

import random
import secrets
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from pyserve.cli.as_json import json_option, print_json
from pyserve.cli.completion import model_names
from pyserve.cli.doctor.bandwidth import measure
from pyserve.cli.errors import explained
from pyserve.cli.run.answering import chat_server, names
from pyserve.cli.run.screen import Screen
from pyserve.cli.target import key_option, url_option
from pyserve.client.server import Server
from pyserve.errors import InvalidRequestError, PyserveError
from pyserve.process.threads import usable_threads

COMPLETIONS = "/v1/completions"
MIN_TOKEN_ID, MAX_TOKEN_ID = 300, 20_000  # words in every vocabulary of today's models
MIN_TOKENS = 2  # between which there is a time
GB = 1e9
HEADINGS = (
    "streams", "prompt tokens/s", "output tokens/s", "of each", "first token ms, p50 p95",
    "between tokens ms, p50 p99",
)  # fmt: skip


class Row(msgspec.Struct, frozen=True):
    """One load. Rates are tokens per second of all streams together, times milliseconds."""

    n_streams: int
    prompt_rate: float
    output_rate: float
    first_p50: float
    first_p95: float
    gap_p50: float
    gap_p99: float


class Limit(msgspec.Struct, frozen=True):
    """What one stream cannot exceed: weights are read once for each token.

    bandwidth: bytes per second that all threads read. tokens_per_s: of dense weights.
    """

    weight_bytes: int
    bandwidth: float
    tokens_per_s: float


class Times(msgspec.Struct):
    """Of one answer, in seconds on one clock: when it was asked for, and when each token came."""

    asked: float
    tokens: list[float]
    n_prompt: int = 0


@click.command()
@click.argument("model", required=False, shell_complete=model_names)
@click.option("--streams", multiple=True, type=click.IntRange(1, 256), default=(1, 8), show_default=True, help="Requests at a time. May be repeated.")  # fmt: skip  # noqa: E501
@click.option("--prompt-tokens", type=click.IntRange(1, 1 << 20), default=256, show_default=True)
@click.option("--output-tokens", type=click.IntRange(2, 1 << 16), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=2, show_default=True, help="Requests of each stream.")  # fmt: skip  # noqa: E501
@json_option
@url_option
@key_option
def bench(
    model: str | None,
    streams: tuple[int, ...],
    prompt_tokens: int,
    output_tokens: int,
    rounds: int,
    as_json: bool,
    url: str | None,
    key: str,
) -> None:
    """Measure a MODEL through the API: unrelated prompts, answers of a fixed length.

    As `pyserve run`, it asks a running server or one of its own. Beside the figures stands what one
    stream cannot exceed: each token reads the weights once.
    """
    with explained(), chat_server(model, url, key, Screen()) as server:
        served = names(server)
        name = model if model in served else served[0]
        load = Load(server.url, key, name, prompt_tokens, output_tokens)
        load.run(1, 1)  # loads the model
        rows = []
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for n in streams:
                task = progress.add_task(f"{n} at a time", total=n * rounds)
                rows.append(row_of(n, load.run(n, rounds, progress, task)))
        limit = _limit(server, name) if url is None else None
    if as_json:
        found = {"model": name, "rows": rows, "limit": limit}
        print_json(found)
        return
    Console().print(_table(rows))
    if limit is not None:
        click.echo(
            f"\n{name}: {limit.weight_bytes / GB:.2f} GB of weights, memory is read at "
            f"{limit.bandwidth / GB:.0f} GB/s: at most about {limit.tokens_per_s:.0f} tokens/s for "
            "one stream without drafts (a mixture of experts reads less)"
        )


class Load:
    """Requests of one kind to one server. Thread: any, `run` one at a time."""

    def __init__(self, url: str, key: str, model: str, n_prompt: int, n_output: int) -> None:
        self._url = url
        self._key = key
        self._model = model
        self._n_prompt = n_prompt
        self._n_output = n_output
        self._random = random.Random(0)  # the same prompts in every run,
        self._salt = secrets.token_hex(8)  # none of them computed before

    def run(
        self,
        n_streams: int,
        rounds: int,
        progress: Progress | None = None,
        task: TaskID | None = None,
    ) -> list[Times]:
        """The times of all answers. Raises the first error."""
        prompts = [[self._prompt() for _ in range(rounds)] for _ in range(n_streams)]
        done: list[Times] = []
        errors: list[PyserveError] = []

        def work(own: Sequence[list[int]]) -> None:
            try:
                with Server(self._url, self._key) as server:
                    for prompt in own:
                        done.append(self._ask(server, prompt))
                        if progress is not None and task is not None:
                            progress.advance(task)
            except PyserveError as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(own,), daemon=True) for own in prompts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return done

    def _prompt(self) -> list[int]:
        return [self._random.randint(MIN_TOKEN_ID, MAX_TOKEN_ID) for _ in range(self._n_prompt)]

    def _ask(self, server: Server, prompt: list[int]) -> Times:
        times = Times(time.perf_counter(), [])
        for chunk in server.stream(COMPLETIONS, self._body(prompt)):
            n_new = sum(len(c.get("token_ids") or ()) for c in chunk.get("choices", ()))
            times.tokens += [time.perf_counter()] * n_new
            times.n_prompt = (chunk.get("usage") or {}).get("prompt_tokens", times.n_prompt)
        if len(times.tokens) < MIN_TOKENS:
            raise InvalidRequestError("the answer has too few tokens to measure anything")
        return times

    def _body(self, prompt: list[int]) -> dict[str, Any]:
        return {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": self._n_output,
            "ignore_eos": True,
            "cache_salt": self._salt,
            "return_token_ids": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def row_of(n_streams: int, all_times: Sequence[Times]) -> Row:
    """The figures of a load."""
    first = sorted(times.tokens[0] - times.asked for times in all_times)
    gaps = sorted(gap for times in all_times for gap in _gaps(times))
    n_output = sum(len(times.tokens) for times in all_times)
    began = min(times.asked for times in all_times)
    took = max(times.tokens[-1] for times in all_times) - began
    waited = statistics.fmean(first)
    return Row(
        n_streams,
        prompt_rate=statistics.fmean(times.n_prompt for times in all_times) / waited,
        output_rate=n_output / took,
        first_p50=1000 * quantile(first, 0.5),
        first_p95=1000 * quantile(first, 0.95),
        gap_p50=1000 * quantile(gaps, 0.5),
        gap_p99=1000 * quantile(gaps, 0.99),
    )


def _gaps(times: Times) -> Iterator[float]:
    return (after - before for before, after in zip(times.tokens, times.tokens[1:], strict=False))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the ordered values lie. REQUIRES: ordered is not empty."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _limit(server: Server, model: str) -> Limit | None:
    for each in server.get("/health", accepts=(503,))["models"]:
        memory = each.get("memory")
        if each["id"] == model and memory:
            bandwidth = measure(each.get("n_threads") or usable_threads()).all_threads
            return Limit(memory["weights"], bandwidth, bandwidth / memory["weights"])
    return None


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            str(row.n_streams),
            f"{row.prompt_rate:.0f}",
            f"{row.output_rate:.1f}",
            f"{row.output_rate / row.n_streams:.1f}",
            f"{row.first_p50:.0f} {row.first_p95:.0f}",
            f"{row.gap_p50:.1f} {row.gap_p99:.1f}",
        )
    return table
