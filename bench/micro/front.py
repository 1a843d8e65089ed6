"""CPU of the front per streamed token: python -m bench.micro.front [MODEL]

Starts a server, streams answers to 1, 16, 32 and 64 clients at once, and divides the processor time
of the front's worker process by the tokens. Clients are one process that only reads. With
MODEL (default: fake) `fake`, tokens come from the scripted engine, one by one; a real model gives
those of a step together.

The floor is what the same system calls cost a process that does nothing else: for each step it is
woken by a message, and sends a frame to each client.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOADS = (1, 16, 32, 64)
N_ROUNDS = 3
N_TOKENS = 200
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_S = 120.0
STEP_S = 0.02
MESSAGE = bytes(130)  # one event of an engine
FRAME = bytes(250)


def main(argv: list[str]) -> None:
    model = argv[1] if len(argv) > 1 else "fake"
    print("clients   µs of the front per token (rounds)   floor   tokens/s")
    for n_clients in LOADS:
        with server(model, n_clients) as (port, pid):
            stream(port, model, n_clients)  # warms up
            rounds = [measure(port, pid, model, n_clients) for _ in range(N_ROUNDS)]
        costs = [cost for cost, _ in rounds]
        rates = [rate for _, rate in rounds]
        shown = " ".join(f"{cost:.0f}" for cost in costs)
        print(
            f"{n_clients:7}   {statistics.median(costs):6.0f} ({shown}){floor_us(n_clients):8.0f}"
            f"{statistics.median(rates):12.0f}",
            flush=True,
        )


def measure(port: int, pid: int, model: str, n_clients: int) -> tuple[float, float]:
    """Microseconds of the process per token, and tokens per second."""
    began, cpu = time.monotonic(), cpu_s(pid)
    n_tokens = stream(port, model, n_clients)
    wall_s = time.monotonic() - began
    return 1e6 * (cpu_s(pid) - cpu) / n_tokens, n_tokens / wall_s


def floor_us(n_clients: int) -> float:
    """Microseconds per token of a thread that only receives a step's message and sends frames."""
    engine, front = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, engine, front:
        readers = [socket.create_connection(listener.getsockname()) for _ in range(n_clients)]
        clients = [listener.accept()[0] for _ in range(n_clients)]
        others = [multiprocessing.Process(target=read_all, args=(readers,))]
        others.append(multiprocessing.Process(target=send_steps, args=(engine, n_clients)))
        for process in others:
            process.start()
        began = time.thread_time()
        for _ in range(N_TOKENS):
            front.recv(1 << 16)
            for client in clients:
                client.send(FRAME, socket.MSG_DONTWAIT)
        cost = time.thread_time() - began
        for process in others:
            process.terminate()
            process.join()
        for client in (*readers, *clients):
            client.close()
    return 1e6 * cost / (N_TOKENS * n_clients)


def read_all(readers: list[socket.socket]) -> None:
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(1 << 16)


def send_steps(engine: socket.socket, n_clients: int) -> None:
    for _ in range(N_TOKENS):
        time.sleep(STEP_S)
        engine.send(MESSAGE * n_clients)


def stream(port: int, model: str, n_clients: int) -> int:
    """Have as many answers streamed at once; returns the number of events with text."""
    selector = selectors.DefaultSelector()
    n_open, n_tokens = n_clients, 0
    for n in range(n_clients):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(request(model, n))
        selector.register(client, selectors.EVENT_READ)
    while n_open:
        for key, _events in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(1 << 16)
            n_tokens += data.count(b'"content":"')
            if data.endswith(b"0\r\n\r\n") or not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                n_open -= 1
    return n_tokens


def request(model: str, n: int) -> bytes:
    content = f"#slow=20 #words={N_TOKENS} word" if model == "fake" else f"Tell me story {n}."
    body = json.dumps(
        {
            "messages": [{"role": "user", "content": content}],
            "stream": True,
            "max_tokens": N_TOKENS,
            "ignore_eos": True,
            "temperature": 0,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def server(model: str, n_clients: int) -> Iterator[tuple[int, int]]:
    """A server for as many clients: its port, and the process of its front's worker."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["--engine", "fake"] if model == "fake" else [model]
    arguments += ["--port", str(port), "--parallel", str(n_clients), "--max-streams", "80"]
    arguments += ["--ctx-size", "512", "--kv-size", str(512 * n_clients)]
    with tempfile.TemporaryDirectory(prefix="ps-") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyserve", "serve", *arguments],
            env=os.environ | {"XDG_RUNTIME_DIR": directory},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_ready(port)
            yield port, worker_of(process.pid)
        finally:
            process.terminate()
            process.wait()


def wait_ready(port: int) -> None:
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if b" 200 " in client.recv(1 << 12)[:20]:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server does not start")


def worker_of(supervisor: int) -> int:
    """The gunicorn worker below a server."""
    masters = [pid for pid in children(supervisor) if b"front_main" in command_of(pid)]
    return children(masters[0])[0]


def children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == parent:
            found.append(int(path.parent.name))
    return found


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


if __name__ == "__main__":
    main(sys.argv)
