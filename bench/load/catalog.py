"""The workloads by name: what they send, at which loads, and the context they need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.load.client import Target
from bench.load.drive import Outcome, arrival, closed_loop, conversations, open_loop
from bench.load.edits import edits
from bench.load.records import records
from bench.load.workloads import Request, Text, distinct, shared

N_TURNS = 6
OPEN_LOOP_S = 60


@dataclass(frozen=True)
class Job:
    """One run of a workload against one server. load: see `bench.load.drive`."""

    target: Target
    text: Text
    load: int
    n_requests: int
    seed: int


@dataclass(frozen=True)
class Workload:
    """request_tokens: nominal prompt and output of the longest request.

    loads: of a full comparison; quick_loads: of a quick one, empty = left out of it.
    requests_per_client: how many requests a run has by default. All clients begin at once, so that
        the first requests wait for each other's prompts; where that should not be half of a median,
        there are four.
    """

    what: str
    run: Callable[[Job], Awaitable[Outcome]]
    request_tokens: int
    loads: tuple[int, ...]
    quick_loads: tuple[int, ...] = ()
    requests_per_client: int = 2
    is_open: bool = False
    n_late: int = 0  # requests that come among those of the clients

    def n_requests(self, load: int, *, is_quick: bool) -> int:
        """How many requests a run at this load sends, where the workload leaves the choice."""
        if self.is_open:
            return max(4, load * OPEN_LOOP_S // 60 // (3 if is_quick else 1))
        return max(2, load * (1 if is_quick else self.requests_per_client))

    def n_at_once(self, load: int) -> int | None:
        """How many requests can run at once; None = not bounded by the load."""
        return None if self.is_open else load + self.n_late


def _closed(n_prompt: int, max_tokens: int) -> Callable[[Job], Awaitable[Outcome]]:
    def run(job: Job) -> Awaitable[Outcome]:
        requests = distinct(
            job.text, job.n_requests, n_prompt=n_prompt, max_tokens=max_tokens, seed=job.seed
        )
        return closed_loop(job.target, requests, job.load)

    return run


def _shared(job: Job) -> Awaitable[Outcome]:
    requests: list[Request] = shared(
        job.text, job.n_requests, n_system=600, max_tokens=64, seed=job.seed
    )
    return closed_loop(job.target, requests, job.load)


def _open(job: Job) -> Awaitable[Outcome]:
    requests = distinct(job.text, job.n_requests, n_prompt=200, max_tokens=64, seed=job.seed)
    return open_loop(job.target, requests, job.load, job.seed)


def _chat(job: Job) -> Awaitable[Outcome]:
    return conversations(job.target, job.text, job.load, N_TURNS, job.seed)


def _arrival(n_prompt: int) -> Callable[[Job], Awaitable[Outcome]]:
    return lambda job: arrival(job.target, job.text, job.load, n_prompt, job.seed)


def _edits(job: Job) -> Awaitable[Outcome]:
    return closed_loop(job.target, edits(job.n_requests, job.seed), job.load)


def _json(job: Job) -> Awaitable[Outcome]:
    return closed_loop(job.target, records(job.n_requests, job.seed), job.load)


WORKLOADS = {
    "decode": Workload("short prompts, 192 tokens out", _closed(20, 192), 212, (1, 8, 32), (1,), 1),
    "distinct": Workload(
        "unrelated prompts of 200 tokens, 64 out",
        _closed(200, 64),
        264,
        (1, 4, 8, 16, 32),
        (1, 8),
        4,
    ),
    "shared": Workload(
        "one system prompt of 600 tokens, questions of 30, 64 out", _shared, 694, (4, 16), (8,), 4
    ),
    "chat": Workload(
        "conversations of six turns, each 60 tokens in, 48 out",
        _chat,
        N_TURNS * (60 + 48),
        (1, 4, 16, 32),
        (2,),
    ),
    "arrival": Workload(
        "a prompt of 2,000 tokens arrives among running streams",
        _arrival(2000),
        2008,
        (4, 8),
        (4,),
        n_late=1,
    ),
    "arrival8k": Workload(
        "the same with a prompt of 8,000 tokens", _arrival(8000), 8008, (8,), n_late=1
    ),
    "open": Workload(
        "the distinct prompts at Poisson arrival times; load = requests a minute",
        _open,
        264,
        (10, 20, 40),
        is_open=True,
    ),
    "edits": Workload(
        "corrections of a text of 150 tokens, asked for as `/v1/edits` does; ours is told the text",
        _edits,
        560,
        (1, 4),
        (1,),
        6,
    ),
    "json": Workload("lists of records that obey a JSON schema", _json, 360, (1, 8), (), 4),
    "long1k": Workload("prompts of 1,000 tokens, 32 out", _closed(1000, 32), 1032, (1, 4)),
    "long4k": Workload("prompts of 4,000 tokens, 32 out", _closed(4000, 32), 4032, (1, 2), (), 1),
}
