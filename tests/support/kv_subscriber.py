"""Reads events of prefixes as a balancer does, written from vLLM's published layout alone.

Three frames: topic, sequence number (8 bytes, big-endian), MessagePack `[time, [event...], rank]`.
Events: `["BlockStored", hashes, parent, token_ids, block_size, lora_id, medium, lora_name,
extra_keys]`, `["BlockRemoved", hashes]`, `["AllBlocksCleared"]`, or maps of the same.
What was missed is asked of a ROUTER socket by a number of 8 bytes; it answers with the same frames,
and last with an empty one.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import zmq

from tests.support.limits import SOON_S

POLL_MS = 50

Message = tuple[str, int, list[Any]]


def read_message(frames: list[bytes]) -> Message:
    """Topic, number and events."""
    topic, number, payload = frames
    assert len(number) == 8
    time_s, events, rank = msgspec.msgpack.decode(payload)
    assert isinstance(time_s, float)
    assert rank is None
    return topic.decode(), int.from_bytes(number, "big"), events


FIELDS = {
    "BlockStored": (
        "block_hashes",
        "parent_block_hash",
        "token_ids",
        "block_size",
        "lora_id",
        "medium",
        "lora_name",
        "extra_keys",
    ),
    "BlockRemoved": ("block_hashes",),
    "AllBlocksCleared": (),
}


def _fields(event: dict[str, Any]) -> list[Any]:
    """A map as an array. Its hashes are bytes, of which balancers take the last eight."""
    tag = event.pop("type")
    assert event.pop("medium", "GPU") == "GPU"
    for name in ("block_hashes", "parent_block_hash"):
        if (value := event.get(name)) is not None:
            is_list = isinstance(value, list)
            event[name] = [_number(each) for each in value] if is_list else _number(value)
    assert event.keys() == set(FIELDS[tag]) - {"medium"}
    return [tag, *(event.get(name) for name in FIELDS[tag])]


def _number(block_hash: bytes) -> int:
    assert len(block_hash) == 32
    return int.from_bytes(block_hash[-8:], "big")


class Subscriber:
    """Follows one publisher. index: the tokens of each block that it holds, by hash.

    n_live: messages that came by themselves. What was missed is asked for.
    """

    def __init__(
        self, endpoint: str, replays: str = "", topic: str = "kv@", *, is_stuck: bool = False
    ) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        if is_stuck:
            self._socket.setsockopt(zmq.RCVHWM, 1)
        self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self._socket.connect(endpoint)
        self._replays = replays
        self.n_live = 0
        self.numbers: list[int] = []
        self.index: dict[int, list[int]] = {}
        self.stored: list[list[Any]] = []

    def close(self) -> None:
        self._context.destroy(linger=0)

    def follow(self) -> Message:
        """Take the next message into the index. Fails when none comes."""
        deadline = time.monotonic() + SOON_S
        while time.monotonic() < deadline:
            if (message := self._live_message()) is None:
                message = next(iter(replay(self._replays, len(self.numbers))), None)
            if message is not None:
                self._apply(message)
                return message
        raise AssertionError("no message")

    def _live_message(self) -> Message | None:
        """The next in order that came by itself; others are left to the replay."""
        while self._socket.poll(POLL_MS):
            message = read_message(self._socket.recv_multipart())
            if message[1] == len(self.numbers):
                self.n_live += 1
                return message
        return None

    def _apply(self, message: Message) -> None:
        _, number, events = message
        self.numbers.append(number)
        for event in events:
            tag, *fields = _fields(dict(event)) if isinstance(event, dict) else event
            if tag == "BlockStored":
                self._store(fields)
            elif tag == "BlockRemoved":
                for block in fields[0]:
                    del self.index[block]
            else:
                assert (tag, fields) == ("AllBlocksCleared", [])
                self.index.clear()

    def _store(self, fields: list[Any]) -> None:
        hashes, parent, tokens, block_size, _lora_id, _medium, _lora_name, extra_keys = fields
        assert len(tokens) == len(hashes) * block_size
        assert parent is None or parent in self.index
        assert extra_keys is None or len(extra_keys) == len(hashes)
        for i, block in enumerate(hashes):
            self.index[block] = tokens[i * block_size : (i + 1) * block_size]
        self.stored.append(fields)


def replay(endpoint: str, first: int) -> list[Message]:
    """What the publisher has kept since message `first`."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(endpoint)
        dealer.send_multipart([b"", first.to_bytes(8, "big")])
        messages = []
        while True:
            assert dealer.poll(SOON_S * 1000), "no end of the replay"
            empty, *frames = dealer.recv_multipart()
            assert empty == b""
            assert len(frames) == 3
            if not frames[2]:
                return messages
            messages.append(read_message(frames))
