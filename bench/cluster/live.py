"""A real Ray cluster on this machine, measured: python -m bench.cluster.live PART...

first   what the cluster adds to the time before a first token, beside the same fake engine at home
items   CPU of 16 streams of 25 tokens/s: of the front, and of what lies between it and the engine
cancel  how soon an engine is rid of requests whose clients leave, and of those of a dead front
faults  pauses of 16 streams when an engine, a replica, a node dies, or Ray stands still
upgrade a rolling upgrade of three replicas at five requests a second
head    a minute without Ray's head: running and new requests
scale   a request for a model without replicas: until it is answered
memory  what Ray's own processes take
mixed   mixed traffic over two nodes that die and are replaced: --seconds 600, --real with --model
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
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from bench.cluster import mixed as mixed_traffic
from bench.cluster.fronts import PATIENCE_S, Front, cluster, clustered
from bench.cluster.nodes import RayNodes, wait_until
from bench.load.client import Reply, Target, stream
from bench.load.figures import quantiles_ms
from bench.load.workloads import Request, Text
from bench.models import resolve as resolve_model
from bench.peers import proc
from pyserve.cluster.gate import enter
from pyserve.cluster.views import ReplicaView
from pyserve.engine.remote.client import RemoteEngine

MODEL = "m"
N_STREAMS = 16
LOOK_S = 0.005
N_TURNS = 3

Figures = dict[str, Any]


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


def mixed(options: argparse.Namespace) -> Figures:
    with cluster(2, 2) as nodes:
        spread = ("--replicas", "2", "--per-node", "1", "--parallel", "16")
        if options.real:
            sizes = ("--threads", "1", "--ctx-size", "16384", "--prefix-cache-disk-mib", "0")
            nodes.run("deploy", options.model, *spread, *sizes)
        else:
            nodes.deploy(MODEL, *spread)
        with clustered(nodes) as front:
            mix = (
                mixed_traffic.RealMix(1, mixed_traffic.references(front.url))
                if options.real
                else mixed_traffic.FakeMix(1)
            )
            return mixed_traffic.run(nodes, front.url, mix, seconds=options.seconds, n_cpus=2)


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
    """One replica and two, in turns; each has a core of its own, which the rest shares."""
    rates: dict[str, list[float]] = {"one": [], "two": []}
    with cluster(2, 2) as nodes, tempfile.TemporaryDirectory() as directory:
        (model,) = resolve_model([options.model])
        sizes = ("--threads", "1", "--parallel", "8", "--ctx-size", "16384")
        for n_replicas, name in enumerate(rates, 1):
            path = Path(directory) / f"{name}.gguf"
            path.symlink_to(model.path)
            known = set(nodes.engines())
            spread = ("--replicas", str(n_replicas), "--per-node", "1")
            nodes.run("deploy", str(path), *spread, *sizes, "--prefix-cache-disk-mib", "0")
            for core, engine in enumerate(set(nodes.engines()) - known):
                pin(engine, core)
        beside: dict[str, float] = {}
        with clustered(nodes) as front:
            for n in range(1 + N_TURNS):
                for name in sorted(rates, reverse=n % 2 == 0):
                    requests = [_work(options, name, 1000 * n + i) for i in range(options.requests)]
                    others = [os.getpid(), *front.pids]
                    began_s, used_s = time.monotonic(), cpu_of(others)
                    replies = asyncio.run(at_once(front.url, requests))
                    wall_s = time.monotonic() - began_s
                    n_tokens = sum(reply.n_prompt + reply.n_tokens for reply in replies)
                    beside[name] = round((cpu_of(others) - used_s) / wall_s, 2)
                    if n:  # else it was the first time for all
                        rates[name].append(round(n_tokens / wall_s, 1))
    ratio = statistics.median(rates["two"]) / statistics.median(rates["one"])
    return {
        **{f"{name}_tokens_per_s": found for name, found in rates.items()},
        "ratio": round(ratio, 2),
        "cores_of_front_and_clients": beside,
    }


def _work(options: argparse.Namespace, model: str, seed: int) -> Request:
    """Of the part `real`: no two have a beginning in common."""
    text = f"{seed} {Text().prose(options.prompt_tokens, seed)}"
    return Request(
        [{"role": "user", "content": text}], options.answer_tokens, extra={"model": model}
    )


def pin(pid: int, core: int) -> None:
    """All threads of the process run on this core alone."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    part.__name__: part
    for part in (first, items, cancel, faults, upgrade, head, scale, mixed, memory, real)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=list(PARTS), metavar="PART")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--seconds", type=float, default=60.0, help="of `head` and `mixed`")
    parser.add_argument("--real", action="store_true", help="`mixed` with the real engine")
    parser.add_argument("--requests", type=int, default=48, help="of `real`, as the next two")
    parser.add_argument("--prompt-tokens", type=int, default=20)
    parser.add_argument("--answer-tokens", type=int, default=64)
    options = parser.parse_args()
    for name in options.parts:
        figures = PARTS[name](options)
        print(json.dumps({"part": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
