"""A real Ray cluster on this machine, measured: python -m bench.cluster.live PART...

first   what the cluster adds to the time before a first token, beside the same fake engine at home
items   CPU of 16 streams of 25 tokens/s: of the front, and of what lies between it and the engine
cancel  how soon an engine is rid of requests whose clients leave, and of those of a dead front
faults  pauses of 16 streams when an engine, a replica, a node dies, or Ray stands still
upgrade a rolling upgrade of three replicas at five requests a second
head    a minute without Ray's head: running and new requests
scale   a request for a model without replicas: until it is answered
memory  what Ray's own processes take
real    tokens/s of one and of two replicas of a real model with one thread each: --model NAME

The last line of each part is its figures as JSON. All run on this machine, beside its clients.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from bench.cluster.nodes import PYSERVE, RayNodes, wait_until
from bench.load.client import Reply, Target, stream
from bench.load.figures import quantiles_ms
from bench.load.workloads import Request
from bench.peers import proc
from bench.peers.server import free_port
from bench.peers.tied import tied
from pyserve.cluster.gate import enter
from pyserve.cluster.views import ReplicaView
from pyserve.engine.remote.client import RemoteEngine

MODEL = "m"
N_STREAMS = 16
LOOK_S = 0.005
PATIENCE_S = 60.0
OK = 200

Figures = dict[str, Any]


class Front:
    """`pyserve serve` with these arguments."""

    def __init__(self, *args: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = tempfile.TemporaryDirectory(prefix="fr-", dir="/tmp")
        home = self._directory.name
        environ = {"XDG_RUNTIME_DIR": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
        with Path(f"{home}/log").open("wb") as log:
            self._process = subprocess.Popen(
                tied([*PYSERVE, "serve", "--port", str(self.port), *args]),
                env=os.environ | environ,
                stdout=log,
                stderr=log,
            )
        wait_until(self.is_ready, "the server is ready")

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/ready").status_code == OK
        return False

    @property
    def pids(self) -> list[int]:
        return proc.tree(self._process.pid)

    def kill(self) -> None:
        for pid in reversed(self.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._directory.cleanup()

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


@contextlib.contextmanager
def cluster(n_nodes: int = 3, n_cpus: int = 2) -> Iterator[RayNodes]:
    with RayNodes() as nodes:
        for _ in range(n_nodes):
            nodes.add(n_cpus)
        yield nodes


def clustered(nodes: RayNodes) -> Front:
    front = Front("--cluster", nodes.address)
    time.sleep(2.0)  # all replicas are connected
    return front


def asked(text: str, n_tokens: int = 3000) -> Request:
    """A request for a scripted answer."""
    messages = [{"role": "user", "content": text}]
    return Request(messages, n_tokens, may_end=True, extra={"model": MODEL})


async def at_once(url: str, requests: list[Request]) -> list[Reply]:
    return await asyncio.gather(*(stream(Target(url), request) for request in requests))


def first(_options: argparse.Namespace) -> Figures:
    """Requests one after another, at home and in the cluster in turns."""
    times: dict[str, list[float]] = {"home": [], "cluster": []}
    with cluster(1) as nodes:
        nodes.deploy(MODEL)
        with (
            Front(MODEL, "--engine", "fake", "--threads", "1") as home,
            clustered(nodes) as front,
        ):
            urls = {"home": home.url, "cluster": front.url}
            for n in range(400):
                for name in sorted(urls, reverse=n % 2 == 0):
                    (reply,) = asyncio.run(at_once(urls[name], [asked(f"one two three {n}")]))
                    if n >= 50:  # noqa: PLR2004  # warm
                        times[name].append(reply.ttft_s)
    found: Figures = {f"{name}_ms": quantiles_ms(values) for name, values in times.items()}
    for q in ("p50", "p99"):
        added = found["cluster_ms"][q] - found["home_ms"][q]
        found[f"added_{q}_ms"] = round(added, 2)
    return found


def cpu_of(pids: list[int]) -> float:
    """CPU seconds of these processes so far, without their children."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def items(_options: argparse.Namespace) -> Figures:
    n_tokens, token_ms = 250, 40
    requests = [asked(f"#slow={token_ms} #words={n_tokens} a b c {n}") for n in range(N_STREAMS)]

    def run(url: str, pids: dict[str, list[int]]) -> Figures:
        before = {name: cpu_of(some) for name, some in pids.items()}
        began_s = time.monotonic()
        replies = asyncio.run(at_once(url, requests))
        wall_s = time.monotonic() - began_s
        n_items = sum(len(reply.text_s) for reply in replies)
        used = {name: cpu_of(some) - before[name] for name, some in pids.items()}
        return {
            "n_items": n_items,
            "wall_s": round(wall_s, 1),
            **{f"{name}_us_per_item": round(1e6 * s / n_items) for name, s in used.items()},
            **{f"{name}_share_of_a_core": round(s / wall_s, 3) for name, s in used.items()},
        }

    with cluster(1) as nodes:
        nodes.deploy(MODEL)
        with (
            Front(MODEL, "--engine", "fake", "--threads", "1") as home,
            clustered(nodes) as front,
        ):
            engine = set(proc.tree(home.pids[0])) & set(nodes.engines())
            at_home = [pid for pid in home.pids if pid not in engine and not _is_engine(pid)]
            between = nodes.find("ray::ServeReplica")
            return {
                "home": run(home.url, {"front": at_home}),
                "cluster": run(front.url, {"front": front.pids, "replica": between}),
                "idle_front_share": _idle(front.pids),
                "idle_replica_share": _idle(between),
            }


def _is_engine(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"pyserve.engine.main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _idle(pids: list[int], wait_s: float = 10.0) -> float:
    before = cpu_of(pids)
    time.sleep(wait_s)
    return round((cpu_of(pids) - before) / wait_s, 4)


def engine_of(nodes: RayNodes) -> RemoteEngine:
    """A connection of our own with the only replica, to look at its counters."""
    import msgspec  # noqa: PLC0415

    from pyserve.cluster.connection import joined  # noqa: PLC0415
    from pyserve.cluster.views import app_name  # noqa: PLC0415

    with joined(nodes.address) as serve:
        handle = serve.get_app_handle(app_name(MODEL))
        (data,) = handle.broadcast("describe").results(timeout_s=10.0)
    view = msgspec.msgpack.decode(data, type=ReplicaView)
    return RemoteEngine(enter(view.host, view.port, view.token))


def cancel(_options: argparse.Namespace) -> Figures:
    rng = random.Random(1)
    gone_ms: list[float] = []
    n_cancels = 1000
    with cluster(1) as nodes:
        nodes.deploy(MODEL, "--parallel", "64")
        engine = engine_of(nodes)
        with clustered(nodes) as front:
            body = {
                "model": MODEL,
                "stream": True,
                "messages": [{"role": "user", "content": "#hold=2 a b c"}],
            }

            def n_left() -> int:
                stats = engine.stats()
                return stats.n_running + stats.n_waiting

            def until_gone() -> float:
                began_s = time.monotonic()
                while n_left():
                    if time.monotonic() - began_s > PATIENCE_S:
                        raise TimeoutError(f"{n_left()} requests are left")
                    time.sleep(LOOK_S)
                return time.monotonic() - began_s

            for _ in range(100):
                with httpx.stream(
                    "POST", f"{front.url}/v1/chat/completions", json=body, timeout=PATIENCE_S
                ) as response:
                    lines = response.iter_lines()
                    next(lines)
                gone_ms.append(until_gone())

            async def leave(client: httpx.AsyncClient) -> None:
                with contextlib.suppress(TimeoutError, httpx.TransportError):
                    async with asyncio.timeout(rng.uniform(0.0, 0.15)):
                        await client.post(f"{front.url}/v1/chat/completions", json=body)

            async def leave_all() -> None:
                async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
                    for _ in range(n_cancels // 50):
                        await asyncio.gather(*(leave(client) for _ in range(50)))

            asyncio.run(leave_all())
            leaked_after_s = until_gone()
            with contextlib.ExitStack() as stack:
                url = f"{front.url}/v1/chat/completions"
                kept = []
                for _ in range(N_STREAMS):
                    response = stack.enter_context(
                        httpx.stream("POST", url, json=body, timeout=PATIENCE_S)
                    )
                    kept.append(response.iter_lines())
                    next(kept[-1])
                front.kill()
                dead_s = until_gone()
        engine.close()
    return {
        "client_gone_ms": quantiles_ms(gone_ms),
        "n_cancels": n_cancels,
        "none_left_after_s": round(leaked_after_s, 3),
        "front_killed_s": round(dead_s, 3),
    }


def words(n: int, n_tokens: int, token_ms: int) -> tuple[str, str]:
    """A prompt, and the answer that it is to have."""
    prompt = f"#slow={token_ms} #words={n_tokens} a b c {n}"
    said = prompt.split(" ")
    return prompt, " ".join((said * n_tokens)[:n_tokens])


async def beside(
    url: str, do: Callable[[], Awaitable[None] | None], n_tokens: int = 250, token_ms: int = 40
) -> Figures:
    """Streams, during which something is done: what they have said, and their longest pause."""
    wanted = [words(n, n_tokens, token_ms) for n in range(N_STREAMS)]
    tasks = [asyncio.create_task(stream(Target(url), asked(prompt))) for prompt, _ in wanted]
    await asyncio.sleep(2.0)
    await asyncio.to_thread(do)
    replies = await asyncio.gather(*tasks)
    whole = sum(
        not reply.error and reply.text == text
        for reply, (_, text) in zip(replies, wanted, strict=True)
    )
    pauses = [max(reply.gaps_s, default=0.0) for reply in replies]
    errors = sorted({reply.error for reply in replies if reply.error})
    return {
        "n": len(replies),
        "whole": whole,
        "longest_pause_ms": round(1000 * max(pauses)),
        "median_pause_ms": round(1000 * statistics.median(pauses)),
        **({"errors": errors} if errors else {}),
    }


def faults(_options: argparse.Namespace) -> Figures:
    found: Figures = {}
    with cluster(3, 1) as nodes:
        nodes.deploy(MODEL, "--replicas", "2", "--per-node", "1", "--parallel", "32")
        with clustered(nodes) as front:

            def kill(part: str) -> None:
                os.kill(nodes.find(part)[0], signal.SIGKILL)

            def lose_node() -> None:
                nodes.remove(next(node for node in nodes.workers if nodes.engines(node)))

            def part(node_of: Callable[[], list[int]]) -> None:
                stopped = node_of()
                for pid in stopped:
                    os.kill(pid, signal.SIGSTOP)
                time.sleep(4.0)
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)

            def raylets() -> list[int]:
                return [nodes.raylet(node) for node in nodes.workers]

            cases: dict[str, Callable[[], None]] = {
                "nothing": lambda: None,
                "engine": lambda: kill("pyserve.engine.main"),
                "replica": lambda: kill("ray::ServeReplica"),
                "raylets_stopped_4_s": lambda: part(raylets),
                "node": lose_node,
            }
            for name, do in cases.items():
                found[name] = asyncio.run(beside(front.url, do))
                began_s = time.monotonic()
                wait_until(lambda: len(nodes.engines()) == 2, "two replicas run")  # noqa: PLR2004
                found[name]["replaced_s"] = round(time.monotonic() - began_s, 1)
                time.sleep(4.0)
    return found


def upgrade(_options: argparse.Namespace) -> Figures:
    with cluster(2, 4) as nodes:
        nodes.deploy(MODEL, "--replicas", "3")
        with clustered(nodes) as front:

            async def load(until: asyncio.Event) -> list[Reply]:
                tasks: list[asyncio.Task[Reply]] = []
                while not until.is_set():
                    prompt, _ = words(len(tasks), 50, 40)
                    tasks.append(asyncio.create_task(stream(Target(front.url), asked(prompt))))
                    await asyncio.sleep(0.2)
                return list(await asyncio.gather(*tasks))

            async def phase(do: Callable[[], Any]) -> tuple[list[Reply], float]:
                until = asyncio.Event()
                running = asyncio.create_task(load(until))
                began_s = time.monotonic()
                await asyncio.to_thread(do)
                took_s = time.monotonic() - began_s
                until.set()
                return await running, took_s

            before, _ = asyncio.run(phase(lambda: time.sleep(10.0)))
            old = set(nodes.engines())
            during, took_s = asyncio.run(
                phase(lambda: nodes.deploy(MODEL, "--replicas", "3", "--parallel", "8"))
            )
            return {
                "took_s": round(took_s, 1),
                "n_before": len(before),
                "n_during": len(during),
                "errors": sorted({r.error for r in [*before, *during] if r.error}),
                "before_ttft_ms": quantiles_ms([r.ttft_s for r in before if r.text_s]),
                "during_ttft_ms": quantiles_ms([r.ttft_s for r in during if r.text_s]),
                "longest_pause_ms": round(1000 * max(max(r.gaps_s) for r in during)),
                "all_new": old.isdisjoint(nodes.engines()),
            }


def head(options: argparse.Namespace) -> Figures:
    with cluster(2, 1) as nodes:
        nodes.deploy(MODEL, "--replicas", "2", "--per-node", "1")
        with clustered(nodes) as front:

            def lose_head() -> None:
                os.kill(nodes.gcs(), signal.SIGKILL)

            n_tokens = int(options.seconds * 25)
            codes: list[int] = []

            def ask_on() -> None:
                lose_head()
                end_s = time.monotonic() + options.seconds
                while time.monotonic() < end_s:
                    body = {"model": MODEL, "messages": [{"role": "user", "content": "a b"}]}
                    reply = httpx.post(
                        f"{front.url}/v1/chat/completions", json=body, timeout=PATIENCE_S
                    )
                    codes.append(reply.status_code)
                    time.sleep(0.5)

            running = asyncio.run(beside(front.url, ask_on, n_tokens))
            return {
                "seconds": options.seconds,
                "running": running,
                "new": {str(code): codes.count(code) for code in set(codes)},
                "n_engines": len(nodes.engines()),
            }


def scale(_options: argparse.Namespace) -> Figures:
    with cluster(1) as nodes:
        nodes.deploy(MODEL)
        with clustered(nodes) as front:
            took_s = []
            for _ in range(5):
                nodes.run("scale", MODEL, "0")
                time.sleep(3.0)
                began_s = time.monotonic()
                (reply,) = asyncio.run(at_once(front.url, [asked("a b c")]))
                took_s.append(round(time.monotonic() - began_s, 1))
                if reply.error:
                    raise RuntimeError(reply.error)
            return {"answered_after_s": took_s}


def memory(_options: argparse.Namespace) -> Figures:
    def of(pids: list[int]) -> Figures:
        rss = pss = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    rss += int(line.split()[1]) if line.startswith("Rss:") else 0
                    pss += int(line.split()[1]) if line.startswith("Pss:") else 0
        return {"n": len(pids), "rss_mib": rss >> 10, "pss_mib": pss >> 10}

    with cluster(1) as nodes:
        time.sleep(10.0)
        (node,) = nodes.workers
        empty = {"head": of(nodes.of_node(nodes.head)), "node": of(nodes.of_node(node))}
        nodes.deploy(MODEL)
        with clustered(nodes) as front:
            followers = [pid for pid in front.pids if _is_follower(pid)]
            return {
                **empty,
                "serve_controller": of(nodes.find("ray::ServeController")),
                "replica": of(nodes.find("ray::ServeReplica")),
                "replica_supervisor": of(nodes.find("pyserve.cli.supervise")),
                "follower": of(followers),
                "front_without_it": of([pid for pid in front.pids if pid not in followers]),
            }


def _is_follower(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"pyserve.cluster.follower" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def real(options: argparse.Namespace) -> Figures:
    found: Figures = {}
    with cluster(2, 1) as nodes:
        for n_replicas in (1, 2, 1, 2):
            nodes.run(
                "deploy", options.model, "--replicas", str(n_replicas), "--threads", "1",
                "--ctx-size", "2048", "--no-surge", "--prefix-cache-disk-mib", "0",
            )  # fmt: skip
            with Front("--cluster", nodes.address) as front:
                time.sleep(3.0)
                texts = [f"Tell me a long story about the number {n}." for n in range(8)]
                requests = [
                    Request([{"role": "user", "content": text}], 64, extra={"model": options.model})
                    for text in texts
                ]
                asyncio.run(at_once(front.url, requests))
                began_s = time.monotonic()
                replies = asyncio.run(at_once(front.url, requests + requests))
                wall_s = time.monotonic() - began_s
                n_tokens = sum(reply.n_tokens for reply in replies)
                rates = found.setdefault(f"{n_replicas}_tokens_per_s", [])
                rates.append(round(n_tokens / wall_s, 1))
    ratio = statistics.mean(found["2_tokens_per_s"]) / statistics.mean(found["1_tokens_per_s"])
    return found | {"ratio": round(ratio, 2)}


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    part.__name__: part
    for part in (first, items, cancel, faults, upgrade, head, scale, memory, real)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=list(PARTS), metavar="PART")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the part `head`")
    options = parser.parse_args()
    for name in options.parts:
        figures = PARTS[name](options)
        print(json.dumps({"part": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
