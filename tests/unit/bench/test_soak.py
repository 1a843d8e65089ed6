"""What a soak makes of answers, and of what it saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from bench.load.workloads import Text
from bench.soak import barrage, judges
from bench.soak.exchange import Outcome, Result, Shot, exchange, http_request
from bench.soak.flood import Flood
from bench.soak.mix import Mix
from bench.soak.monitor import Process, Sample
from bench.soak.phases import Overload, Storm
from bench.soak.report import Facts, checks, slope_per_min, table

PLAIN = json.dumps(
    {
        "choices": [{"finish_reason": "stop", "message": {"content": "a w1x1 b"}}],
        "usage": {"completion_tokens": 3},
    }
).encode()
BUSY = b'{"error": {"message": "busy", "type": "x", "param": null, "code": "queue_full"}}'


def reply(body: bytes, status: int = 200, more: str = "", n_missing: int = 0) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body) + n_missing}\r\n{more}\r\n"
    return head.encode() + body


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server that says `answer` to everyone, and what it was sent."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65536))
        writer.write(answer[:5])
        await writer.drain()
        writer.write(answer[5:])
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            is_there.set()
            await over.wait()

    ports: list[int] = []
    is_there, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    is_there.wait()
    try:
        yield ports[0], heard
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def barraged(answer: bytes, n_shots: int) -> list[Result]:
    """What becomes of an open loop at a server that says `answer`."""
    with answering(answer) as (port, heard):
        results = barrage.open_loop(port, [shot()] * n_shots, per_s=1e4)
        assert heard == [shot().data] * n_shots
    return results


def ask(answer: bytes, shot: Shot, *, hangs: bool = False) -> Result:
    """What becomes of `shot` at a server that says `answer`."""

    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(65536)
            writer.write(answer)
            if hangs:
                await reader.read()
            writer.close()
            await writer.wait_closed()
        over.set()

    async def main() -> Result:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            result = await exchange(server.sockets[0].getsockname()[1], shot)
            await over.wait()
            return result

    return asyncio.run(main())


def shot(**fields: object) -> Shot:
    return Shot("x", http_request("POST", "/", b"{}"), judges.plain, **fields)  # type: ignore[arg-type]


def test_a_whole_answer_is_done() -> None:
    result = ask(reply(PLAIN), shot())
    assert (result.outcome, result.n_tokens) == (Outcome.DONE, 3)
    assert ask(chunked(PLAIN[:9], PLAIN[9:]), shot()).outcome is Outcome.DONE


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        reply(PLAIN, n_missing=1),
        chunked(PLAIN, end=b""),
        reply(PLAIN, status=500),
        reply(b"{}"),
        reply(BUSY, status=503),
    ],
    ids=["nothing", "short", "no last chunk", "status", "other body", "no Retry-After"],
)
def test_what_is_not_a_whole_right_answer_fails(answer: bytes) -> None:
    result = ask(answer, shot())
    assert result.outcome is Outcome.FAILED
    assert result.why


REFUSAL = reply(BUSY, status=503, more="Retry-After: 2\r\n")


def test_a_proper_refusal_is_no_failure() -> None:
    result = ask(REFUSAL, shot())
    assert (result.outcome, result.why) == (Outcome.REFUSED, "queue_full")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        reply(PLAIN),
        chunked(PLAIN[:9], PLAIN[9:]),
        reply(PLAIN, n_missing=1),
        chunked(PLAIN, end=b""),
        reply(PLAIN, status=500),
        reply(BUSY, status=503),
        REFUSAL,
    ],
)
def test_a_barrage_judges_as_single_requests_are_judged(answer: bytes) -> None:
    single = ask(answer, shot())
    for result in barraged(answer, n_shots=5):
        assert (result.outcome, result.n_tokens) == (single.outcome, single.n_tokens)
        assert bool(result.why) is bool(single.why)
        assert result.end_s >= result.start_s


def test_a_barrage_notes_a_server_that_is_not_there() -> None:
    with answering(b"") as (port, _):
        pass
    (result,) = barrage.open_loop(port, [shot()], per_s=1)
    assert (result.outcome, result.why[:22]) == (Outcome.FAILED, "ConnectionRefusedError")


def test_a_closed_loop_goes_on_until_its_time_is_over() -> None:
    with answering(reply(PLAIN)) as (port, heard):
        results = barrage.closed_loop(port, 3, 0.2, shot)
    assert len(results) == len(heard) > 3
    assert {result.outcome for result in results} == {Outcome.DONE}


def test_clients_leave_after_their_time_or_bytes() -> None:
    assert ask(b"", shot(leave_s=0.05), hangs=True).outcome is Outcome.LEFT
    assert ask(reply(PLAIN), shot(leave_bytes=5)).outcome is Outcome.LEFT
    assert ask(chunked(PLAIN), shot(leave_bytes=5)).outcome is Outcome.LEFT
    assert ask(b"", shot(n_sent=10)).outcome is Outcome.LEFT


def test_judges_tell_wrong_answers() -> None:
    assert judges.says("w1x1")(PLAIN) == 3
    with pytest.raises(ValueError, match="w2"):
        judges.says("w2")(PLAIN)
    stream = b'data: {"usage": {"completion_tokens": 2}}\n\ndata: [DONE]\n\n'
    assert judges.streamed(stream) == 2
    for wrong in (stream[:-4], b"data: [DONE]\n\n", b'data: {"error": {}}\n\n'):
        with pytest.raises(ValueError, match="stream"):
            judges.streamed(wrong)
    assert judges.vectors(2)(b'{"data": [1, 2]}') == 0
    with pytest.raises(ValueError, match="3 vectors"):
        judges.vectors(2)(b'{"data": [1, 2, 3]}')
    with pytest.raises(ValueError, match="no error"):
        judges.error_object(b'{"error": {"message": "x"}}')


def test_the_mix_is_the_same_for_a_seed_and_has_every_kind() -> None:
    first, second = (Mix(Text(1.0), 3), Mix(Text(1.0), 3))
    kinds = []
    for _ in range(300):
        made = first.next()
        assert made.data == second.next().data
        kinds.append(made.kind)
    wanted = {"stream", "chat", "embeddings", "completion", "leaver", "hostile", "constrained"}
    assert set(kinds) == wanted


def test_the_slope_is_that_of_most_points() -> None:
    points = [(float(t), 100 + t / 60) for t in range(0, 600, 30)]
    assert slope_per_min(points) == pytest.approx(1.0)
    assert slope_per_min([*points, (610.0, 5000.0)]) == pytest.approx(1.0, abs=0.2)
    assert slope_per_min([]) == 0


def facts(**changes: object) -> Facts:
    process = Process(1, "engine", 100_000, 10, 5)
    samples = [Sample(float(t), "steady", [process], 1.0) for t in range(0, 3600, 60)]
    seen = Facts([process], [process], samples, Counter({("chat", "done"): 9}), [], exit_code=0)
    for name, value in changes.items():
        setattr(seen, name, value)
    return seen


def test_a_clean_run_passes_every_check() -> None:
    rows = checks(facts())
    assert all(row.is_right for row in rows)
    assert "FAIL" not in table(rows, is_timing_judged=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": [Sample(0, "steady", [Process(2, "engine", 1, 1, 1)], 1.0)]},
        {"samples": [Sample(0, "steady", [], None)]},
        {
            "samples": [
                Sample(float(t), "", [Process(1, "engine", 1000 * t, 1, 1)], 1.0)
                for t in range(0, 3600, 60)
            ]
        },
        {"end": [Process(1, "engine", 200_000, 10, 5)], "samples": []},
        {"end": [Process(1, "engine", 100_000, 13, 5)]},
        {"end": [Process(1, "engine", 100_000, 10, 8)]},
        {"counts": Counter({("chat", "done"): 9, ("chat", "failed"): 1})},
        {"n_busy_at_end": 1.0},
        {"log_bytes": 10_000},
        {"exit_code": None},
        {"overloads": [Overload(1, 1, 1, 0, 1, {}, 0)]},
        {"overloads": [Overload(10, 5, 1, 0, 0, {}, 0)]},
        {"overloads": [Overload(1, 1, 1, 1, 0, {"p50": 1.0, "p99": 101.0}, 0)]},
        {"overloads": [Overload(1, 1, 1, 0, 0, {}, 11)]},
        {"storms": [Storm(2, 0)]},
        {"storms": [Storm(0, 6)]},
        {"floods": [Flood(1, 0, {"p99": 1.0}, {})]},
        {"floods": [Flood(0, 1, {"p99": 1.0}, {})]},
        {"floods": [Flood(0, 0, {"p99": 251.0}, {})]},
        {"churn_idle_s": [2.0]},
    ],
)
def test_whatever_is_wrong_fails_one_check(changes: dict[str, object]) -> None:
    assert sum(not row.is_right for row in checks(facts(**changes))) == 1
