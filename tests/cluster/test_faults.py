"""What befalls engines, replicas, nodes, fronts and Ray itself while answers are under way."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from bench.cluster.nodes import RayNodes
from tests.cluster.test_serving import chat, said
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, short_dir, wait_until

N_STREAMS = 8
N_OWN_SOCKETS = 4  # of an engine: to its supervisor, its listener, a pair to wake itself
WORDS = 60
SLOW = f"#slow=40 #words={WORDS} a b c"  # some seconds


@pytest.fixture(scope="module")
def ready(nodes: RayNodes) -> Iterator[ServerProcess]:
    """A front that is connected with both replicas of the model m; each test leaves it so."""
    nodes.deploy("m", "--replicas", "2", "--per-node", "1")
    with short_dir() as directory, ServerProcess(directory, ["--cluster", nodes.address]) as front:
        front.start()
        wait_both(front, nodes)
        yield front
    nodes.clear()


def wait_both(front: ServerProcess, nodes: RayNodes) -> None:
    """Until both replicas have been asked by this front."""

    def asked() -> bool:
        for _ in range(2):
            chat(front)
        return all(is_connected(engine) for engine in nodes.engines())

    wait_until(lambda: len(nodes.engines()) == 2 and asked(), SOON_S, "both replicas are used")


def is_connected(engine: int) -> bool:
    """More than what its replica itself has open: a gate has let a front through."""
    with contextlib.suppress(psutil.Error):
        return len(psutil.Process(engine).net_connections("unix")) > N_OWN_SOCKETS
    return False


class Streams:
    """Answers that take seconds, each read by a thread."""

    def __init__(self, front: ServerProcess, n: int = N_STREAMS) -> None:
        self.texts: dict[int, str] = {}
        self.begun = threading.Semaphore(0)
        self._front = front
        self._threads = [threading.Thread(target=self._read, args=(i,)) for i in range(n)]
        for thread in self._threads:
            thread.start()
        for _ in range(n):
            assert self.begun.acquire(timeout=SOON_S)

    def _read(self, number: int) -> None:
        self.texts[number] = said(self._front, f"{SLOW} {number}", on_first=self.begun.release)

    def wait_whole(self) -> None:
        """All end, and each is what was to be said, once."""
        for thread in self._threads:
            thread.join(SOON_S)
        assert self.texts == {number: expected(number) for number in range(len(self._threads))}


def expected(number: int) -> str:
    words = f"{SLOW} {number}".split(" ")
    return " ".join((words * WORDS)[:WORDS])


def test_what_is_expected_is_what_is_said(ready):
    assert said(ready, f"{SLOW} 7") == expected(7)


def kill_engine(nodes: RayNodes) -> None:
    os.kill(nodes.engines()[0], signal.SIGKILL)


def kill_supervisor(nodes: RayNodes) -> None:
    os.kill(nodes.find("pyserve.cli.supervise")[0], signal.SIGKILL)


def kill_replica(nodes: RayNodes) -> None:
    os.kill(nodes.find("ray::ServeReplica")[0], signal.SIGKILL)


def kill_node(nodes: RayNodes) -> None:
    node = next(node for node in nodes.workers if nodes.engines(node))
    nodes.add(2)
    nodes.remove(node)


@pytest.mark.parametrize("fault", [kill_engine, kill_supervisor, kill_replica, kill_node])
def test_answers_go_on_elsewhere_and_the_dead_are_replaced(
    nodes: RayNodes, ready: ServerProcess, fault: Callable[[RayNodes], None]
) -> None:
    before = set(nodes.engines())
    streams = Streams(ready)
    fault(nodes)
    streams.wait_whole()
    wait_until(
        lambda: set(nodes.engines()) != before and len(nodes.engines()) == 2,
        SOON_S,
        "it is replaced",
    )
    wait_both(ready, nodes)


def test_an_upgrade_loses_nothing(nodes: RayNodes, ready: ServerProcess) -> None:
    before = set(nodes.engines())
    streams = Streams(ready)
    codes: list[int] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            codes.append(chat(ready).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        nodes.deploy("m", "--replicas", "2", "--parallel", "8")
        streams.wait_whole()
    finally:
        is_over.set()
        asking.join(SOON_S)
    wait_both(ready, nodes)
    assert set(codes) == {200}
    assert before.isdisjoint(nodes.engines())


@contextlib.contextmanager
def held(front: ServerProcess, n: int) -> Iterator[None]:
    """So many answers that have begun and never end."""
    body = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "#hold=2 a b c"}],
    }
    url = f"{front.url}/v1/chat/completions"
    with contextlib.ExitStack() as stack:
        responses = [
            stack.enter_context(httpx.stream("POST", url, json=body, timeout=SOON_S))
            for _ in range(n)
        ]
        readers = [response.iter_lines() for response in responses]
        for lines in readers:
            next(lines)
        yield


def in_work(front: ServerProcess) -> float:
    """Requests in all replicas, of all fronts."""
    page = httpx.get(f"{front.url}/metrics", timeout=SOON_S).text
    (line,) = [x for x in page.splitlines() if x.startswith("llamacpp:requests_processing ")]
    return float(line.split()[1])


def test_a_front_or_a_client_that_is_gone_leaves_no_request(
    nodes: RayNodes, ready: ServerProcess
) -> None:
    with held(ready, 4):
        wait_until(lambda: in_work(ready) == 4, SOON_S, "all run")
    wait_until(lambda: in_work(ready) == 0, SOON_S, "the clients have gone, and their requests")
    with short_dir() as directory, ServerProcess(directory, ["--cluster", nodes.address]) as other:
        other.start()
        with held(other, 4):
            wait_until(lambda: in_work(ready) == 4, SOON_S, "all fronts' requests are counted")
            for process in other.remember():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            wait_until(lambda: in_work(ready) == 0, SOON_S, "the front's requests have gone")


def test_fronts_and_engines_go_on_while_ray_stands_still(
    nodes: RayNodes, ready: ServerProcess
) -> None:
    stopped = [nodes.gcs(), *(nodes.raylet(node) for node in nodes.workers)]
    streams = Streams(ready)
    try:
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        assert chat(ready).status_code == 200
        streams.wait_whole()
        assert said(ready, "x y z") == "x y z"
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    wait_until(
        lambda: [row["replicas"] for row in nodes.run("status")] == [{"RUNNING": 2}],
        SOON_S,
        "Ray has found itself again",
    )
    wait_both(ready, nodes)
