"""Publishes an engine's prefixes over ZeroMQ: a thread of its own, for which nobody waits.

Subscribers that do not read miss messages, see it by the sequence numbers, and may ask for them
again on the replay socket. The engine's log of changes is bounded: when this thread is behind it
begins again, with `AllBlocksCleared`.
"""

from __future__ import annotations

import collections
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING

from pyserve.engine.config import EngineConfig
from pyserve.engine.kv_events.layout import (
    END_OF_REPLAY,
    AllBlocksCleared,
    Event,
    encode,
    events_of,
    sequence_frame,
)
from pyserve.engine.prefix_changes import PrefixTeller
from pyserve.errors import ModelLoadError, UnavailableError

if TYPE_CHECKING:
    import zmq

TAKE_S = 0.1  # so long a replay may wait to be noticed
OPEN_AGAIN_S = 1.0
MAX_UNSENT = 1000  # messages, to each subscriber
MAX_KEPT = 10_000  # messages that can be asked for again
MAX_KEPT_BYTES = 64 * 2**20

log = logging.getLogger(__name__)


class Kept:
    """The last messages, bounded in number and bytes. One thread."""

    def __init__(self) -> None:
        self._messages: collections.deque[tuple[int, bytes]] = collections.deque()
        self._n_bytes = 0

    def add(self, number: int, payload: bytes) -> None:
        self._messages.append((number, payload))
        self._n_bytes += len(payload)
        while len(self._messages) > MAX_KEPT or self._n_bytes > MAX_KEPT_BYTES:
            self._n_bytes -= len(self._messages.popleft()[1])

    def since(self, number: int) -> list[tuple[int, bytes]]:
        return [message for message in self._messages if message[0] >= number]


class KvPublisher:
    """Takes what `core` tells until the core is stopped, and publishes it.

    Raises ModelLoadError where pyzmq is missing, or an endpoint cannot be one. An endpoint that is
    in use is tried again until it is free: an engine that is being replaced may hold it.
    max_unsent: messages that wait for a subscriber which does not read.
    """

    def __init__(
        self, core: PrefixTeller, config: EngineConfig, max_unsent: int = MAX_UNSENT
    ) -> None:
        try:
            import zmq  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise ModelLoadError("--kv-events needs pip install 'pyserve[events]'") from error
        self._zmq = zmq
        self._core = core
        self._adapters = config.adapters
        self._as_maps = config.kv_events_format == "map"
        names = {"host": socket.gethostname(), "model": config.model_id}
        self._topic = filled(config.kv_events_topic, names).encode()
        self._kept = Kept()
        self._n_sent = 0
        self._max_unsent = max_unsent
        self._context = zmq.Context()
        self._publisher = self._socket(zmq.PUB)
        self._replays = self._socket(zmq.ROUTER)
        self._unopened = [(self._publisher, config.kv_events)]
        if config.kv_events_replay:
            self._unopened.append((self._replays, config.kv_events_replay))
        try:
            self._open()
        except ModelLoadError:
            self._context.destroy(linger=0)
            raise
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kv-events", daemon=True)
        self._thread.start()

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.setsockopt(self._zmq.SNDHWM, self._max_unsent)
        made.setsockopt(self._zmq.LINGER, 0)
        return made

    def _open(self) -> None:
        """Open what is not open yet, as far as that is possible now."""
        while self._unopened:
            its_socket, endpoint = self._unopened[0]
            try:
                if "*" in endpoint or endpoint.startswith("ipc://"):
                    its_socket.bind(endpoint)
                else:
                    its_socket.connect(endpoint)
            except self._zmq.ZMQError as error:
                if error.errno != self._zmq.EADDRINUSE:
                    raise ModelLoadError(f"--kv-events {endpoint}: {error.strerror}") from error
                return
            del self._unopened[0]

    def close(self) -> None:
        """After the core was stopped. Any thread but its own."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._wait_until_open()
            self._send([AllBlocksCleared()])
            while not self._closing.is_set():
                changes = self._core.take_prefix_changes(TAKE_S)
                if events := events_of(changes, self._adapters):
                    self._send(events)
                self._answer_replays()
        except UnavailableError:
            pass  # the engine has been stopped
        except Exception:
            log.exception("no more events of prefixes are published")
        finally:
            self._context.destroy(linger=0)

    def _wait_until_open(self) -> None:
        """Or until it is closed. What the core tells meanwhile is for later."""
        if self._unopened:
            log.warning(
                "%s is in use: no events of prefixes until it is free", self._unopened[0][1]
            )
        while self._unopened and not self._closing.wait(OPEN_AGAIN_S):
            self._open()

    def _send(self, events: list[Event]) -> None:
        """Never waits: a PUB socket drops what a subscriber does not take."""
        now_s = time.time()  # noqa: TID251  # for other machines
        payload = encode(now_s, events, as_maps=self._as_maps)
        self._kept.add(self._n_sent, payload)
        self._publisher.send_multipart([self._topic, sequence_frame(self._n_sent), payload])
        self._n_sent += 1

    def _answer_replays(self) -> None:
        while self._replays.poll(0):
            frames = self._replays.recv_multipart(self._zmq.NOBLOCK)
            *address, asked = frames  # the subscriber, and the empty frame of a REQ or DEALER
            if len(asked) != len(END_OF_REPLAY):
                continue
            for number, payload in self._kept.since(int.from_bytes(asked, "big")):
                self._replay(address, [self._topic, sequence_frame(number), payload])
            self._replay(address, [b"", END_OF_REPLAY, b""])

    def _replay(self, address: list[bytes], frames: list[bytes]) -> None:
        """Never waits: a ROUTER socket drops what a subscriber does not take."""
        self._replays.send_multipart([*address, *frames], self._zmq.NOBLOCK)


def filled(topic: str, names: dict[str, str]) -> str:
    """The topic with its names filled in, and every other brace as it is."""
    for name, value in names.items():
        topic = topic.replace(f"{{{name}}}", value)
    return topic
