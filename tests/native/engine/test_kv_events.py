"""What engines tell of the prefixes that they keep, as balancers follow it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.kv_events.publisher import KvPublisher
from pyserve.engine.main import RunnerConfig
from pyserve.engine.native import NativeCore
from pyserve.engine.streams.hub import StreamEngine
from tests.native.helpers import ask
from tests.support.kv_subscriber import Subscriber
from tests.support.limits import SOON_S
from tests.support.server import short_dir

N_KV = 1024


class Published:
    """An engine, and who follows it."""

    def __init__(self, model: Path, folder: Path) -> None:
        endpoint, replays = f"ipc://{folder}/pub", f"ipc://{folder}/again"
        config = EngineConfig(
            model_id="tiny",
            model_path=str(model),
            n_ctx=512,
            n_kv=N_KV,
            prefix_cache_mib=0,
            kv_events=endpoint,
            kv_events_replay=replays,
        )
        core = NativeCore(config)
        self.publisher = KvPublisher(core, config)
        self.engine = StreamEngine(core)
        self.subscriber = Subscriber(endpoint, replays)
        self.stuck = Subscriber(endpoint, is_stuck=True)

    def close(self) -> None:
        self.engine.close()
        self.publisher.close()
        for subscriber in (self.subscriber, self.stuck):
            subscriber.close()


@pytest.fixture
def published(models: dict[str, Path], tmp_path: Path) -> Iterator[Published]:
    published = Published(models["llama"], tmp_path)
    yield published
    published.close()


def prompt_of(number: int, n_tokens: int = 200) -> list[int]:
    return [5 + (number * 7 + i * (number + 1)) % 60 for i in range(n_tokens)]


def test_a_balancer_knows_what_an_engine_can_reuse(published):
    """While subscribers that do not read change nothing for requests."""
    engine, subscriber = published.engine, published.subscriber
    prompt = prompt_of(0)
    ask(engine, prompt, max_tokens=2)
    while not subscriber.index:
        subscriber.follow()
    assert list(subscriber.index.values()) == [prompt[i : i + 64] for i in (0, 64, 128)]
    assert ask(engine, prompt, max_tokens=2).finish.usage.n_cached_tokens >= 192
    ask(engine, prompt, max_tokens=2, tenant="alice", cache_salt="s")
    while len(subscriber.index) < 6:
        subscriber.follow()
    assert subscriber.stored[-1][7] == [["alice", "s"], None, None]
    first = set(subscriber.index)
    # More than the KV cache has room for: what was used longest ago goes.
    for number in range(1, 12):
        ask(engine, prompt_of(number), max_tokens=2)
    while first & subscriber.index.keys():
        subscriber.follow()
    assert 64 * len(subscriber.index) <= N_KV
    assert engine.stats().n_block_losses == 0


def test_blocks_of_a_cleared_cache_are_gone(published):
    ask(published.engine, prompt_of(0), max_tokens=2)
    while not published.subscriber.index:
        published.subscriber.follow()
    published.engine.clear_prefixes()
    while published.subscriber.index:
        published.subscriber.follow()
    assert published.subscriber.numbers == sorted(published.subscriber.numbers)


def test_an_engine_process_publishes_until_it_ends(models):
    ours, theirs = socket.socketpair()
    with short_dir() as folder, ours, theirs:
        config = EngineConfig(
            model_id="tiny",
            model_path=str(models["llama"]),
            kv_events=f"ipc://{folder}/pub",
            kv_events_replay=f"ipc://{folder}/again",
        )
        runner = RunnerConfig(
            engine="native",
            config=config,
            socket_path=f"{folder}/engine",
            report_fd=theirs.fileno(),
        )
        command = [sys.executable, "-m", "pyserve.engine.main"]
        command.append(msgspec.json.encode(runner).decode())
        with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
            subscriber = Subscriber(config.kv_events, config.kv_events_replay)
            topic, _, events = subscriber.follow()
            subscriber.close()
            process.terminate()
            assert process.wait(SOON_S) == 0
    assert topic == f"kv@{socket.gethostname()}@tiny"
    assert events == [["AllBlocksCleared"]]
