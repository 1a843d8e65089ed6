"""Events of prefixes over real sockets, of an engine that tells what it is given."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from pyserve.engine.config import Adapter, EngineConfig
from pyserve.engine.kv_events import publisher
from pyserve.engine.kv_events.publisher import Kept, KvPublisher, filled
from pyserve.engine.prefix_changes import PrefixBlocks, PrefixChanges
from pyserve.errors import ModelLoadError, UnavailableError
from tests.support.kv_subscriber import Subscriber, replay

RUN = list(range(64))


class Teller:
    """Tells what it is given until it is stopped, with None."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[PrefixChanges | None] = queue.SimpleQueue()

    def tell(self, *blocks: PrefixBlocks, is_reset: bool = False) -> None:
        self.queue.put(PrefixChanges(is_reset, list(blocks)))

    def take_prefix_changes(self, timeout_s: float) -> PrefixChanges:
        try:
            changes = self.queue.get(timeout=timeout_s)
        except queue.Empty:
            return PrefixChanges()
        if changes is None:
            raise UnavailableError("stopped")
        return changes


Publish = Callable[..., Teller]


@pytest.fixture
def publish(tmp_path: Path) -> Iterator[Publish]:
    """Starts a publisher; returns what it takes from."""
    running: list[tuple[Teller, KvPublisher]] = []

    def start(max_unsent: int = publisher.MAX_UNSENT, **fields: Any) -> Teller:
        given = {
            "kv_events": f"ipc://{tmp_path}/pub",
            "kv_events_replay": f"ipc://{tmp_path}/again",
        }
        config = EngineConfig(model_id="m", model_path="/m.gguf", **{**given, **fields})
        teller = Teller()
        running.append((teller, KvPublisher(teller, config, max_unsent)))
        return teller

    yield start
    for teller, started in running:
        teller.queue.put(None)
        started.close()


@pytest.fixture
def subscriber(tmp_path: Path) -> Iterator[Subscriber]:
    subscriber = Subscriber(f"ipc://{tmp_path}/pub", f"ipc://{tmp_path}/again")
    yield subscriber
    subscriber.close()


def test_a_balancer_follows_blocks_as_they_come_and_go(publish, subscriber):
    adapters = (Adapter("poet", "/p", 0.5, model_id="m-poet"), Adapter("cook", "/c"))
    teller = publish(adapters=adapters, kv_events_topic="kv@10.0.0.1:8000@{model}{x}")
    assert subscriber.follow() == ("kv@10.0.0.1:8000@m{x}", 0, [["AllBlocksCleared"]])
    teller.tell(PrefixBlocks(True, [11, 12], tokens=RUN * 2))
    topic, number, events = subscriber.follow()
    assert (topic, number) == ("kv@10.0.0.1:8000@m{x}", 1)
    assert events == [["BlockStored", [11, 12], None, RUN * 2, 64, None, None, None, None]]
    teller.tell(
        PrefixBlocks(True, [2**64 - 1], parent=12, tokens=RUN, tenant="alice"),
        PrefixBlocks(True, [21, 22], tokens=RUN * 2, tenant="alice", cache_salt="s"),
        PrefixBlocks(True, [31], tokens=RUN, adapters=[(0, 0.5)]),
        PrefixBlocks(True, [41], tokens=RUN, adapters=[(0, 0.25), (1, 1.0)]),
        PrefixBlocks(False, [12]),
    )
    subscriber.follow()
    later = [(fields[1], fields[6], fields[7]) for fields in subscriber.stored[1:]]
    assert later == [
        (12, None, None),
        (None, None, [["alice", "s"], None]),
        (None, "m-poet", None),
        (None, None, [["poet*0.25", "cook*1"]]),
    ]
    assert subscriber.index.keys() == {11, 2**64 - 1, 21, 22, 31, 41}
    teller.tell(PrefixBlocks(True, [11], tokens=RUN), is_reset=True)
    subscriber.follow()
    assert subscriber.index == {11: RUN}
    assert subscriber.numbers == [0, 1, 2, 3]
    while not subscriber.n_live:
        teller.tell(is_reset=True)
        subscriber.follow()


def test_events_are_maps_where_that_is_asked_for(publish, subscriber):
    teller = publish(kv_events_format="map")
    assert subscriber.follow()[2] == [{"type": "AllBlocksCleared"}]
    teller.tell(PrefixBlocks(True, [11], tokens=RUN), PrefixBlocks(True, [12], 11, RUN))
    teller.tell(PrefixBlocks(False, [12]))
    while len(subscriber.numbers) < 3:
        subscriber.follow()
    assert subscriber.index == {11: RUN}


def test_what_was_missed_can_be_asked_for_and_nonsense_is_passed_over(publish, tmp_path):
    teller = publish()
    for i in range(5):
        teller.tell(PrefixBlocks(True, [i + 1], tokens=RUN))
    endpoint = f"ipc://{tmp_path}/again"
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(endpoint)
        for frames in ([b"x"], [b"", b"1234567"], [b""] * 9, [b"\xff" * 9]):
            dealer.send_multipart(frames)
    while len(replay(endpoint, 3)) < 3:
        pass
    assert [number for _, number, _ in replay(endpoint, 3)] == [3, 4, 5]
    assert replay(endpoint, 2**64 - 1) == []


def test_a_subscriber_that_does_not_read_holds_nobody_up(publish, tmp_path):
    teller = publish(max_unsent=2)
    stuck = Subscriber(f"ipc://{tmp_path}/pub", is_stuck=True)
    try:
        for _ in range(200):
            teller.tell(PrefixBlocks(True, list(range(200)), tokens=RUN * 200))
        teller.tell(PrefixBlocks(False, [7]))
        while not (kept := replay(f"ipc://{tmp_path}/again", 201)):
            pass
        assert kept[-1][2] == [["BlockRemoved", [7]]]
    finally:
        stuck.close()


def test_an_endpoint_in_use_is_taken_when_it_is_free(publish, tmp_path):
    with zmq.Context() as context:
        holder = context.socket(zmq.PUB)
        port = holder.bind_to_random_port("tcp://127.0.0.1")
        endpoints = {"kv_events": f"tcp://*:{port}", "kv_events_replay": f"ipc://{tmp_path}/free"}
        publish(**endpoints).tell(PrefixBlocks(True, [1], tokens=RUN))
        holder.close(linger=0)
    while not (kept := replay(endpoints["kv_events_replay"], 1)):
        pass
    assert kept[0][2][0][0] == "BlockStored"


@pytest.mark.parametrize("endpoint", ["tcp://nowhere", "ipc:///no/such/dir/x"])
def test_what_is_no_endpoint_is_an_error_of_the_load(publish, endpoint):
    with pytest.raises(ModelLoadError, match="--kv-events"):
        publish(kv_events=endpoint)


def test_kept_messages_are_bounded_in_number_and_bytes():
    kept = Kept()
    for i in range(publisher.MAX_KEPT + 5):
        kept.add(i, b"x")
    assert next(number for number, _ in kept.since(0)) == 5
    kept.add(10**6, bytes(publisher.MAX_KEPT_BYTES))
    assert [number for number, _ in kept.since(0)] == [10**6]


def test_only_known_names_are_filled_in():
    names = {"host": "pod-1", "model": "a/b"}
    assert filled("kv@{host}:8000@{model}{{x}}{", names) == "kv@pod-1:8000@a/b{{x}}{"
