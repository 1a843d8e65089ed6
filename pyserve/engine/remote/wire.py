"""What crosses the socket between a front and an engine process: frames of MessagePack structs.

A frame is the length of its body (4 bytes, big-endian) and the body, one tagged struct. Both sides
begin with a Hello; a peer that speaks another protocol version, sends garbage or announces a frame
over the cap is disconnected. Request ids and call ids are chosen by the front, per connection.

  front -> engine:  Hello, Submit, Cancel, Ask (a call of `engine.calls`)
  engine -> front:  Hello, Reply (to every Submit and Ask), Events
  engine -> supervisor (its own socket):  KernelsChosen, Ready or LoadFailed, then Heartbeats
"""

from __future__ import annotations

import struct
from typing import Any, Generic, TypeVar

import msgspec

from pyserve.engine.calls import AnyCall
from pyserve.engine.events import Event
from pyserve.engine.kernels import KernelChoice
from pyserve.engine.model_info import ModelInfo
from pyserve.engine.request import GenerateRequest
from pyserve.errors import ErrorInfo

PROTOCOL_VERSION = 2
MAX_FRAME_BYTES = 64 << 20
HEADER = struct.Struct(">I")


class WireError(Exception):
    """The peer does not keep to the protocol; the connection is of no further use."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """First frame of either side."""

    version: int = PROTOCOL_VERSION


class Submit(msgspec.Struct, frozen=True, kw_only=True, tag="submit"):
    """Queue a request. Answered by a Reply with `call_id == request_id`, without a value."""

    request_id: int
    request: GenerateRequest


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Cancel a request. Not answered; unknown ids are ignored."""

    request_id: int


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A call. Answered by a Reply with its answer."""

    call_id: int
    call: AnyCall


FrontMessage = Hello | Submit | Cancel | Ask


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="reply"):
    """The answer to a Submit, or to an Ask.

    value: to be converted to the `answer_type` of the call; None after a Submit.
    """

    call_id: int
    error: ErrorInfo | None = None
    value: Any = None


class Events(msgspec.Struct, frozen=True, kw_only=True, tag="events"):
    """All events of one step for the requests of this connection."""

    events: list[Event]


EngineMessage = Hello | Reply | Events


class KernelsChosen(msgspec.Struct, frozen=True, kw_only=True, tag="kernels"):
    """The kernels that the engine is going to compute with. Sent before the model is loaded."""

    choice: KernelChoice


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The model is loaded and the socket accepts connections."""

    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, kw_only=True, tag="load_failed"):
    """The model cannot be loaded; the process ends."""

    error: ErrorInfo


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """The engine process runs.

    stalled_ms: see EngineStats. adapter_scales: the default scale of each adapter, by name.
    """

    stalled_ms: float = 0.0
    adapter_scales: dict[str, float] = {}


ReportMessage = KernelsChosen | Ready | LoadFailed | Heartbeat

T = TypeVar("T")


def encode(message: msgspec.Struct, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """One frame. Raises WireError if it is over the cap."""
    body = msgspec.msgpack.encode(message)
    if len(body) > max_frame_bytes:
        raise WireError(f"a frame of {len(body):,} bytes is over the cap of {max_frame_bytes:,}")
    return HEADER.pack(len(body)) + body


class FrameDecoder(Generic[T]):
    """Cuts received bytes into messages of one type. Sans I/O; one thread.

    decoder: `msgspec.msgpack.Decoder(FrontMessage)`, for instance.
    """

    def __init__(
        self, decoder: msgspec.msgpack.Decoder[T], *, max_frame_bytes: int = MAX_FRAME_BYTES
    ) -> None:
        self._decoder = decoder
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """The messages that `data` completes, in order.

        Raises WireError on garbage or a frame over the cap; nothing can be decoded after that.
        """
        self._buffer += data
        messages: list[T] = []
        begin = 0
        while (end := self._frame_end(begin)) is not None:
            messages.append(self._decode(begin + HEADER.size, end))
            begin = end
        del self._buffer[:begin]
        return messages

    def _frame_end(self, begin: int) -> int | None:
        """Where the frame at `begin` ends, or None while it is incomplete."""
        if len(self._buffer) - begin < HEADER.size:
            return None
        (n_bytes,) = HEADER.unpack_from(self._buffer, begin)
        if n_bytes > self._max_frame_bytes:
            raise WireError(f"a frame of {n_bytes:,} bytes is announced")
        end: int = begin + HEADER.size + n_bytes
        return end if len(self._buffer) >= end else None

    def _decode(self, begin: int, end: int) -> T:
        try:
            with memoryview(self._buffer) as view:
                return self._decoder.decode(view[begin:end])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"a frame cannot be decoded: {error}") from error


def front_decoder() -> FrameDecoder[FrontMessage]:
    """For what a front sends."""
    return FrameDecoder(msgspec.msgpack.Decoder(FrontMessage))


def engine_decoder() -> FrameDecoder[EngineMessage]:
    """For what an engine sends to a front."""
    return FrameDecoder(msgspec.msgpack.Decoder(EngineMessage))


def report_decoder() -> FrameDecoder[ReportMessage]:
    """For what an engine sends to its supervisor."""
    return FrameDecoder(msgspec.msgpack.Decoder(ReportMessage))
