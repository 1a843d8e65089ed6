"""What happens to clients and processes when something dies, stops or goes away."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pyserve.engine.protocol import EngineStats
from pyserve.engine.remote.client import RemoteEngine
from pyserve.web.answer.generation import N_AHEAD
from tests.e2e.conftest import DEFAULT_MODEL
from tests.support.connection import Connection
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, free_port, is_alive, sse_events, wait_until

CHAT = "/v1/chat/completions"


def body(content: str, *, stream: bool = False) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}], "stream": stream}


@contextlib.contextmanager
def held_stream(http: httpx.Client) -> Iterator[Iterator[object]]:
    """The events of a stream that waits for ever after its second token."""
    with http.stream("POST", CHAT, json=body("#hold=2 x y z", stream=True)) as response:
        events = sse_events(response)
        text = ""
        while "#hold" not in text:
            event = next(events)
            assert isinstance(event, dict)
            text += str(event["choices"][0]["delta"].get("content") or "")
        yield events


def rest_of(events: Iterator[object]) -> list[object]:
    """What comes until the connection ends, properly or not."""
    rest = []
    with contextlib.suppress(httpx.TransportError):
        rest.extend(events)
    return rest


def engine_stats(server: ServerProcess) -> EngineStats:
    """Asked of the engine itself, as another front would."""
    (path,) = server.directory.glob("pyserve-*/engine0-*.sock")
    remote = RemoteEngine(path)
    stats = remote.stats()
    remote.close()
    return stats


SPOKEN = "#slow=100 #words=20 x"
STREAMS: dict[str, dict[str, object]] = {
    CHAT: body(SPOKEN, stream=True),
    "/v1/completions": {"prompt": SPOKEN, "max_tokens": 99, "stream": True},
    "/v1/responses": {"input": SPOKEN, "stream": True},
    "/v1/messages": {**body(SPOKEN, stream=True), "max_tokens": 99},
    "/api/chat": {**body(SPOKEN, stream=True), "model": "x"},
    "/api/generate": {"prompt": SPOKEN, "model": "x"},
    "/completion": {"prompt": SPOKEN, "stream": True},
}


def text_in(event: dict[str, Any]) -> str:
    """What an event of any API adds to the text of its answer."""
    if "choices" in event:
        return "".join(
            (each.get("delta") or {}).get("content") or each.get("text") or ""
            for each in event["choices"]
        )
    if isinstance(event.get("delta"), dict):
        return str(event["delta"].get("text") or "")
    message = event.get("message") or {}
    found = event.get("delta"), message.get("content"), event.get("response"), event.get("content")
    return next((text for text in found if isinstance(text, str)), "")


class Listener(threading.Thread):
    """Reads one stream to its end. text: of the answer; last: the last thing that came."""

    def __init__(self, server: ServerProcess, path: str) -> None:
        super().__init__()
        self.text, self.last = "", ""
        self.has_begun = threading.Event()
        self._asked = server.url + path, STREAMS[path]

    def run(self) -> None:
        url, asked = self._asked
        with httpx.stream("POST", url, json=asked, timeout=SOON_S, trust_env=False) as response:
            for line in response.iter_lines():
                data = line.removeprefix("data: ")
                self.last = data or self.last
                if data.startswith("{"):
                    self.text += text_in(json.loads(data))
                if "#words" in self.text:
                    self.has_begun.set()


def test_an_engine_killed_in_the_middle_of_every_kind_of_stream(server, http):
    front, engine = server.worker(), server.engine()
    listeners = {path: Listener(server, path) for path in STREAMS}
    for listener in listeners.values():
        listener.start()
    for listener in listeners.values():
        assert listener.has_begun.wait(SOON_S)
    engine.kill()
    for listener in listeners.values():
        listener.join(SOON_S)
    answer = http.post(CHAT, json=body(SPOKEN)).json()["choices"][0]["message"]["content"]
    assert {path: each.text for path, each in listeners.items()} == dict.fromkeys(STREAMS, answer)
    assert [each.last for each in listeners.values() if "error" in each.last] == []
    wait_until(lambda: server.engine().pid != engine.pid, SOON_S, "a new engine")
    server.wait_healthy()
    assert server.worker().pid == front.pid
    assert http.post(CHAT, json=body("again")).status_code == 200


@pytest.mark.parametrize("n_tokens", [0, 2])
def test_a_request_that_kills_every_engine_is_refused(server, http, n_tokens):
    content = f"#die={n_tokens} x y z {n_tokens}"
    engine = server.engine()
    reply = http.post(CHAT, json=body(content))
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "engine_error"
    assert f"requests in work: {reply.headers['X-Request-Id']}" in server.output()
    assert "x y z" not in server.output()
    wait_until(lambda: server.engine().pid != engine.pid, SOON_S, "a new engine")
    server.wait_healthy()
    engine = server.engine()
    with http.stream("POST", CHAT, json=body(content, stream=True)) as response:
        assert response.status_code == 500
    assert server.engine().pid == engine.pid
    assert http.post(CHAT, json=body("hello there")).status_code == 200


def test_a_request_survives_kernels_that_fail_one_after_the_other(server, http):
    content = "#ill=2 one two three four"
    worker = server.worker()
    with http.stream("POST", CHAT, json=body(content, stream=True)) as response:
        events = rest_of(sse_events(response))
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert "".join(delta.get("content") or "" for delta in deltas) == content
    (model,) = http.get("/health").raise_for_status().json()["models"]
    assert model["kernels"] == "stock"
    assert [fall["kernels"] for fall in model["kernel_falls"]] == ["avx512bw", "avx2"]
    assert server.worker().pid == worker.pid


def test_a_request_that_all_kernels_fail_at_is_refused(server, http):
    reply = http.post(CHAT, json=body("#bus=2 x y z"))
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "engine_error"
    server.wait_healthy()
    (model,) = http.get("/health").raise_for_status().json()["models"]
    assert model["kernels"] == "stock"
    assert http.post(CHAT, json=body("hello there")).status_code == 200


def test_health_while_an_engine_keeps_crashing(server, http):
    def is_given_up(n: int) -> bool:
        http.post(CHAT, json=body(f"#die=1 x y {n}"))
        health = http.get("/health")
        (model,) = health.json()["models"]
        if model["state"] != "failed":
            return False
        assert health.status_code == 503
        assert "keeps crashing" in model["error"]
        return True

    # For a second at first: a look may come too late, and those after it have more time.
    assert any(is_given_up(n) for n in range(10))
    server.wait_healthy()


def test_killed_worker(server, http):
    worker, engine = server.worker(), server.engine()
    with held_stream(http) as events:
        worker.kill()
        rest_of(events)
    wait_until(lambda: server.health() == 200, SOON_S, "/health is 200")
    assert server.engine().pid == engine.pid
    wait_until(lambda: engine_stats(server).n_cancelled == 1, SOON_S, "the request is cancelled")
    assert engine_stats(server).n_running == 0


def test_killed_master(server, http):
    master, worker, engine = server.master(), server.worker(), server.engine()
    with held_stream(http) as events:
        master.kill()
        rest_of(events)
    wait_until(lambda: not is_alive(worker), SOON_S, "the old worker is gone")
    server.wait_healthy()
    assert server.master().pid != master.pid
    assert server.engine().pid == engine.pid


def test_killed_supervisor(server, http):
    server.remember()
    with held_stream(http) as events:
        server.signal(signal.SIGKILL)
        rest_of(events)
    server.wait_gone()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/health", timeout=SOON_S, trust_env=False)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_with_exit_code_0(server, sig, run_dir):
    server.signal(sig)
    assert server.wait() == 0
    server.wait_gone()
    assert list(run_dir.glob("pyserve-*")) == []


def test_sigint_to_the_whole_group_as_from_a_terminal(server):
    for process in server.remember():
        if process.pid != server.pid:
            process.send_signal(signal.SIGINT)
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    server.wait_gone()


def test_running_and_begun_requests_finish_and_new_clients_are_refused(server, http):
    slow = body("#slow=50 #words=40 a b c", stream=True)
    begun = json.dumps(body("d e f")).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with http.stream("POST", CHAT, json=slow) as response, Connection(server.port) as late:
        events = sse_events(response)
        next(events)
        late.send_bytes(head.encode())
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.health() is None, SOON_S, "new clients are refused")
        late.send_bytes(f"Content-Length: {len(begun)}\r\n\r\n".encode() + begun)
        assert late.answer().status == httpx.codes.OK
        assert list(events)[-1] == "[DONE]"
    assert server.wait() == 0
    server.wait_gone()


def is_told_to_end(process: psutil.Process) -> bool:
    """Whether SIGTERM waits for a suspended process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd")]
    return bool(int(masks[0], 16) >> (signal.SIGTERM - 1) & 1)


def test_requests_that_wait_for_a_busy_worker_are_answered_when_the_server_stops(server):
    """The system resets what nobody has accepted when the last process closes the listener."""
    worker = server.worker()
    worker.suspend()
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(Connection(server.port)) for _ in range(20)]
        for connection in asked:
            connection.send("POST", CHAT, body("a b c"))
        server.signal(signal.SIGTERM)
        wait_until(lambda: is_told_to_end(worker), SOON_S, "the worker has a signal to read")
        worker.resume()
        assert [connection.answer().status for connection in asked] == [httpx.codes.OK] * 20
    assert server.wait() == 0
    server.wait_gone()


# What is in work when the server stops, and how its API says why it ends.
HELD = "#hold=0 x y z"
DRAINED: dict[str, tuple[dict[str, object], bytes]] = {
    "/v1/rerank": ({"query": HELD, "documents": ["a", "b"] * 100}, b'"code":"unavailable"'),
    "/v1/embeddings": ({"input": [HELD] * 100}, b'"code":"unavailable"'),
    "/v1/messages": ({**body(HELD), "max_tokens": 9}, b'"type":"overloaded_error"'),
    "/api/chat": ({**body(HELD), "model": "x"}, b'{"error":"'),
    "/v1/responses": ({"input": HELD}, b'"code":"unavailable"'),
    "/completion": ({"prompt": HELD}, b'"code":"unavailable"'),
}


def test_whatever_does_not_end_is_told_why(make_server):
    args = ["--engine", "fake", "--graceful-timeout-s", "4", "--parallel", "8"]
    server = make_server(args).start()
    with contextlib.ExitStack() as stack:
        http = httpx.Client(base_url=server.url, timeout=SOON_S, trust_env=False)
        events = stack.enter_context(held_stream(stack.enter_context(http)))
        asked = {path: stack.enter_context(Connection(server.port)) for path in DRAINED}
        # Of a list as many are with the engine as run at once, and some more; of the next one half.
        n_more = {"/v1/rerank": 8 + N_AHEAD, "/v1/embeddings": (8 + N_AHEAD) // 2}
        n_all = 1
        for path, connection in asked.items():
            connection.send("POST", path, DRAINED[path][0])
            n_all += n_more.get(path, 1)
            wait_until(lambda n=n_all: in_work(server) == n, SOON_S, f"{path} is in work")
        server.signal(signal.SIGTERM)
        assert rest_of(events)[-1]["error"]["message"] == "the server is shutting down"
        for path, connection in asked.items():
            status, headers, told = connection.answer()
            assert status in (503, 529), (path, told)
            assert b"the server is shutting down" in told, path
            assert DRAINED[path][1] in told, path
            assert (headers["connection"], headers["retry-after"]) == ("close", "5"), path
            assert connection.is_closed()
    assert server.wait() == 0
    server.wait_gone()


def in_work(server: ServerProcess) -> int:
    stats = engine_stats(server)
    return stats.n_running + stats.n_waiting


def test_a_second_signal_ends_everything_at_once(server, http):
    with held_stream(http) as events:
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.health() is None, SOON_S, "it is stopping")
        server.signal(signal.SIGTERM)
        rest_of(events)
    assert server.wait() == 1
    server.wait_gone()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_is_cancelled_in_the_engine(calm_server, stream):
    server, before = calm_server, engine_stats(calm_server)
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        request = httpx.Request(
            "POST", server.url + CHAT, json=body("#hold=2 x y z", stream=stream)
        )
        head = f"POST {CHAT} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in request.headers.items()
        )
        raw.sendall(head.encode() + b"\r\n" + request.content)
        wait_until(lambda: engine_stats(server).n_running == 1, SOON_S, "it runs")
    n_cancelled = before.n_cancelled + 1
    wait_until(lambda: engine_stats(server).n_cancelled == n_cancelled, SOON_S, "it is cancelled")


def test_sighup_reloads_the_front_and_keeps_the_engine(calm_server):
    server = calm_server
    worker, engine = server.worker(), server.engine()
    server.signal(signal.SIGHUP)
    wait_until(lambda: not is_alive(worker), SOON_S, "the old worker is gone")
    server.wait_healthy()
    assert server.engine().pid == engine.pid


def test_an_old_worker_keeps_its_streams_and_the_new_one_is_replaced(make_server):
    # With so little time, a server that stops ends its streams at once.
    server = make_server(["--engine", "fake", "--graceful-timeout-s", "3"]).start()
    old = server.worker()
    with (
        httpx.Client(base_url=server.url, timeout=SOON_S, trust_env=False) as http,
        held_stream(http) as events,
    ):
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.worker() != old, SOON_S, "a new worker")
        new = server.worker()
        server.wait_healthy()
        new.kill()
        wait_until(lambda: server.worker() not in (old, new), SOON_S, "another one")
        server.wait_healthy()
        assert is_alive(old)
        assert in_work(server) == 1
        server.signal(signal.SIGTERM)
        assert rest_of(events)[-1]["error"]["message"] == "the server is shutting down"
    assert server.wait() == 0
    server.wait_gone()


def test_a_taken_port_is_explained(make_server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = make_server(["--engine", "fake"], port=port).start(wait=False)
        assert server.wait() == 1
    assert f"port {port} on 127.0.0.1 is taken" in server.output()
    assert "--port" in server.output()


def test_a_model_that_cannot_be_loaded_ends_the_first_start(make_server):
    server = make_server([DEFAULT_MODEL, "--engine", "no-such-engine", "--ctx-size", "64"])
    server.start(wait=False)
    assert server.wait() != 0
    assert "no-such-engine" in server.output()


def test_bad_options_are_named(make_server):
    server = make_server(["--engine", "fake", "--parallel", "0"]).start(wait=False)
    assert server.wait() == 1
    assert "--parallel" in server.output()


def test_what_is_printed_lets_one_try_it(calm_server):
    wait_until(lambda: "Ctrl-C" in calm_server.output(), SOON_S, "the banner")
    assert f"curl {calm_server.url}/v1/chat/completions" in calm_server.output()


def test_an_engine_knows_no_secrets(make_server):
    server = make_server(["--engine", "fake"], env={"PYSERVE_API_KEYS": "sk-1"}).start()
    assert "PYSERVE_API_KEYS" not in server.engine().environ()
    assert "PYSERVE_API_KEYS" in server.worker().environ()


@pytest.fixture
def bare_gunicorn(make_server) -> ServerProcess:
    """gunicorn started directly, without `pyserve serve`."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:pyserve.gunicorn_conf"]
    env = {"PYSERVE_PORT": str(port), "PYSERVE_ENGINE": "fake", "PYSERVE_WORKERS": "2"}
    server = make_server(["pyserve.wsgi:app"], command=command, port=port, env=env)
    return server.start()


def engines_of(run_dir: Path) -> list[psutil.Process]:
    """The supervisor and the engines that a gunicorn in `run_dir` brought up."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(run_dir) in part for part in process.cmdline()):
                found.append(process)
    return found


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_gunicorn_alone_brings_up_one_supervisor_that_ends_with_it(bare_gunicorn, run_dir, sig):
    reply = httpx.post(
        bare_gunicorn.url + CHAT, json=body("hello"), timeout=SOON_S, trust_env=False
    )
    assert reply.json()["choices"][0]["message"]["content"] == "hello"
    names = [" ".join(process.cmdline()) for process in engines_of(run_dir)]
    assert sum("pyserve.cli.supervise" in name for name in names) == 1
    assert sum("pyserve.engine.main" in name for name in names) == 1
    bare_gunicorn.signal(sig)
    assert bare_gunicorn.wait() == (0 if sig == signal.SIGTERM else -signal.SIGKILL)
    bare_gunicorn.wait_gone()
    wait_until(lambda: not engines_of(run_dir), SOON_S, "supervisor and engine are gone")


def test_gunicorn_alone_gets_a_new_supervisor_when_it_dies(bare_gunicorn, run_dir):
    (supervisor,) = [p for p in engines_of(run_dir) if "pyserve.cli.supervise" in p.cmdline()]
    supervisor.kill()
    wait_until(lambda: not is_alive(supervisor), SOON_S, "the supervisor is gone")
    deadline = time.monotonic() + SOON_S
    reply = None
    while time.monotonic() < deadline and (reply is None or reply.status_code != 200):
        reply = httpx.post(
            bare_gunicorn.url + CHAT, json=body("hi"), timeout=SOON_S, trust_env=False
        )
        assert reply.status_code in (200, 503)
    assert reply is not None
    assert reply.status_code == 200


def test_an_engine_has_no_privileges_to_gain(calm_server):
    status = Path(f"/proc/{calm_server.engine().pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    limits = Path(f"/proc/{calm_server.engine().pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]
