"""What the supervisor tells the fronts over its control socket, framed as in `engine.wire`."""

from __future__ import annotations

import msgspec

from pyserve.engine.wire import FrameDecoder, Hello
from pyserve.supervisor.backend import ModelStatus


class Models(msgspec.Struct, frozen=True, kw_only=True, tag="models"):
    """All served models. Sent when a front connects, and on every change."""

    models: list[ModelStatus]


ControlMessage = Hello | Models


def control_decoder() -> FrameDecoder[ControlMessage]:
    """For what the supervisor sends."""
    return FrameDecoder(msgspec.msgpack.Decoder(ControlMessage))


def front_hello_decoder() -> FrameDecoder[Hello]:
    """For what a front sends: nothing but its Hello."""
    return FrameDecoder(msgspec.msgpack.Decoder(Hello))
