"""The load client against a scripted server, and the figures from made-up replies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from bench.load.catalog import WORKLOADS, Job
from bench.load.client import Reply, Target, stream, take_event
from bench.load.drive import Outcome, arrival, closed_loop, conversations, open_loop, poisson_pauses
from bench.load.edits import edits
from bench.load.figures import decode_rate, gaps_between, quantiles_ms, summary
from bench.load.run import calibrate, measure
from bench.load.workloads import Request, Text, distinct, shared

TEXT = Text(1.0)
T = TypeVar("T")


class ScriptedServer:
    """Answers every request with as many one-word events as it asks for; counts what runs."""

    def __init__(self, *, with_usage: bool = True) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.n_running = self.n_most = 0
        self._with_usage = with_usage

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].split()[0])
        body = json.loads(await reader.readexactly(length))
        self.bodies.append(body)
        self.n_running += 1
        self.n_most = max(self.n_most, self.n_running)
        said = [body["prompt"]] if "prompt" in body else contents(body)
        if "fail" in said[-1]:
            writer.write(b"HTTP/1.1 503 Busy\r\n\r\nqueue full")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(body["max_tokens"]):
                choice = {"text": "word "} if "prompt" in body else {"delta": {"content": "word "}}
                writer.write(event({"choices": [choice]}))
                await asyncio.sleep(0)
            if self._with_usage:
                writer.write(event({"choices": [], "usage": usage(said, body["max_tokens"])}))
            writer.write(b"data: [DONE]\n\n")
        self.n_running -= 1
        writer.close()


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def contents(body: dict[str, Any]) -> list[str]:
    return [message["content"] for message in body["messages"]]


def usage(said: list[str], n_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": sum(2 * len(text.split()) + 5 for text in said),
        "completion_tokens": n_tokens,
        "prompt_tokens_details": {"cached_tokens": 3},
    }


@contextlib.asynccontextmanager
async def serving(server: ScriptedServer, *, is_plain: bool = False) -> AsyncIterator[Target]:
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield Target(url, is_plain=is_plain)


def run_on(
    server: ScriptedServer, work: Callable[[Target], Awaitable[T]], *, is_plain: bool = False
) -> T:
    async def run() -> T:
        async with serving(server, is_plain=is_plain) as target:
            return await work(target)

    return asyncio.run(run())


def reply(start_s: float, *text_s: float, **values: Any) -> Reply:
    return Reply(start_s, text_s=list(text_s), end_s=text_s[-1], n_tokens=len(text_s), **values)


def test_a_reply_holds_text_times_and_the_servers_own_counts() -> None:
    [request] = distinct(TEXT, 1, n_prompt=10, max_tokens=4, seed=1)
    got = run_on(ScriptedServer(), lambda target: stream(target, request))
    assert got.error == ""
    assert (got.text, len(got.text_s)) == ("word " * 4, 4)
    assert (got.n_prompt, got.n_cached, got.n_tokens, got.n_wanted) == (25, 3, 4, 4)
    assert got.start_s <= got.text_s[0] <= got.text_s[-1] <= got.end_s


def test_a_model_without_a_template_gets_plain_prompts() -> None:
    server = ScriptedServer()
    outcome = run_on(
        server, lambda target: conversations(target, TEXT, 1, 2, seed=1), is_plain=True
    )
    assert [reply.error for reply in outcome.replies] == ["", ""]
    assert [len(body["prompt"].split("\n\n")) for body in server.bodies] == [2, 4]
    assert "messages" not in server.bodies[0]


def test_edits_are_asked_for_as_the_endpoint_asks() -> None:
    [request] = edits(1, seed=1)
    chat, plain = request.body(is_plain=False), request.body(is_plain=True)
    text = chat["prediction"]["content"]  # type: ignore[index]
    assert chat["messages"][-1]["content"].endswith(text)  # type: ignore[index]
    assert plain["prompt"].endswith(f"{text}\n\n### Response:\n")  # type: ignore[union-attr]
    assert plain["prediction"] == chat["prediction"]


def test_a_refused_request_is_an_error_with_its_body() -> None:
    request = Request([{"role": "user", "content": "fail"}], max_tokens=4)
    got = run_on(ScriptedServer(), lambda target: stream(target, request))
    assert "503" in got.error
    assert "queue full" in got.error


def test_nobody_listening_is_an_error() -> None:
    got = asyncio.run(stream(Target("http://127.0.0.1:1"), Request([], max_tokens=1)))
    assert "ConnectionRefusedError" in got.error


def test_without_usage_tokens_are_not_guessed() -> None:
    [request] = distinct(TEXT, 1, n_prompt=10, max_tokens=4, seed=1)
    got = run_on(ScriptedServer(with_usage=False), lambda target: stream(target, request))
    assert got.error == "no usage"


def test_an_error_event_fails_the_reply() -> None:
    got = Reply(0.0)
    assert not take_event({"error": {"message": "numeric error"}}, got)
    assert "numeric error" in got.error


def test_a_closed_loop_runs_as_many_requests_at_once_as_it_has_clients() -> None:
    server = ScriptedServer()
    requests = distinct(TEXT, 9, n_prompt=10, max_tokens=20, seed=1)
    outcome = run_on(server, lambda target: closed_loop(target, requests, 3))
    assert [one.error for one in outcome.replies] == [""] * 9
    assert server.n_most == 3


def test_an_open_loop_sends_every_request_once() -> None:
    server = ScriptedServer()
    requests = distinct(TEXT, 6, n_prompt=10, max_tokens=2, seed=1)
    outcome = run_on(server, lambda target: open_loop(target, requests, 60_000, seed=1))
    assert len(outcome.replies) == len(server.bodies) == 6


def test_poisson_pauses_have_the_wanted_mean_and_repeat() -> None:
    pauses = list(itertools.islice(poisson_pauses(4.0, seed=1), 4000))
    assert sum(pauses) / len(pauses) == pytest.approx(0.25, rel=0.05)
    assert pauses[:5] == list(itertools.islice(poisson_pauses(4.0, seed=1), 5))


def test_a_conversation_sends_the_answers_back() -> None:
    server = ScriptedServer()
    outcome = run_on(server, lambda target: conversations(target, TEXT, 1, 3, seed=1))
    assert [len(body["messages"]) for body in server.bodies] == [1, 3, 5]
    assert server.bodies[2]["messages"][1] == {"role": "assistant", "content": "word " * 48}
    assert server.bodies[2]["messages"][:1] == server.bodies[0]["messages"]
    assert "later_ttft_ms" in outcome.extra


def test_the_long_prompt_arrives_when_all_streams_run() -> None:
    server = ScriptedServer()
    outcome = run_on(server, lambda target: arrival(target, TEXT, 3, 500, seed=1))
    assert len(outcome.replies) == 3
    assert len(server.bodies[-1]["messages"][0]["content"].split()) == 500
    assert server.n_most == 4
    assert {"late_ttft_ms", "arrival_gap_ms"} <= outcome.extra.keys()


def test_words_per_token_come_from_usage() -> None:
    assert run_on(ScriptedServer(), calibrate) == 0.5


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_workload_runs_within_its_stated_context(name: str) -> None:
    server = ScriptedServer()
    load = 600 if WORKLOADS[name].is_open else 2
    figures = run_on(server, lambda target: measure(name, Job(target, TEXT, load, 2, 1)))
    assert figures["n_errors"] == 0
    longest = max(
        sum(len(message["content"].split()) for message in body["messages"]) + body["max_tokens"]
        for body in server.bodies
    )
    assert longest <= WORKLOADS[name].request_tokens


def test_requests_repeat_with_the_seed_and_differ_without() -> None:
    one, other = (distinct(TEXT, 3, n_prompt=30, max_tokens=1, seed=seed) for seed in (5, 9))
    assert one == distinct(TEXT, 3, n_prompt=30, max_tokens=1, seed=5)
    assert len({request.messages[0]["content"] for request in one + other}) == 6


def test_shared_requests_have_one_system_prompt() -> None:
    requests = shared(TEXT, 3, n_system=50, max_tokens=1, seed=5)
    assert len({request.messages[0]["content"] for request in requests}) == 1
    assert len({request.messages[1]["content"] for request in requests}) == 3


def test_quantiles_are_of_nearest_rank() -> None:
    assert quantiles_ms([n / 1000 for n in range(100, 0, -1)]) == {
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert quantiles_ms([0.25]) == {"p50": 250.0, "p95": 250.0, "p99": 250.0, "max": 250.0}


def test_gaps_between_are_those_that_overlap() -> None:
    replies = [reply(0, 1, 2, 3, 9), reply(0, 1, 1.5, 2.5)]
    assert gaps_between(replies, 2.2, 4.0) == [1, 6, 1.0]


def test_the_decode_rate_leaves_out_the_time_to_the_first_token() -> None:
    assert decode_rate(reply(0, 10.0, 10.5, 11.0)) == pytest.approx(2.0)
    assert decode_rate(reply(0, 10.0)) == 0.0


def test_a_summary_counts_failures_and_leaves_them_out_of_the_times() -> None:
    good = [reply(0.0, 1.0, 2.0, n_wanted=2, n_prompt=7, n_cached=4), reply(0.0, 3.0, n_wanted=2)]
    figures = summary([*good, Reply(0.0, error="503", text_s=[99.0])], wall_s=2.0)
    assert (figures["n"], figures["n_errors"], figures["error"]) == (3, 1, "503")
    assert (figures["n_short"], figures["output_tokens"], figures["tokens_per_s"]) == (1, 3, 1.5)
    assert (figures["prompt_tokens"], figures["cached_tokens"]) == (7, 4)
    assert figures["ttft_ms"] == {"p50": 1000.0, "p95": 3000.0, "p99": 3000.0, "max": 3000.0}
    assert figures["gap_ms"] == {"p50": 1000.0, "p95": 1000.0, "p99": 1000.0, "max": 1000.0}


def test_a_summary_of_failures_alone_has_no_rates() -> None:
    assert summary([Reply(0.0, error="gone")], 1.0) == {"n": 1, "n_errors": 1, "error": "gone"}


def test_an_outcome_of_no_later_turns_has_no_extra_figures() -> None:
    outcome = run_on(ScriptedServer(), lambda target: conversations(target, TEXT, 1, 1, seed=1))
    assert outcome == Outcome(outcome.replies, {})
