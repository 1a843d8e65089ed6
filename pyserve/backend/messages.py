"""Messages between fronts and the supervisor on the control socket.

Framed as in `engine.remote.wire`.
"""

from __future__ import annotations

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.engine.remote.wire import FrameDecoder, Hello
from pyserve.errors import ErrorInfo


class Models(msgspec.Struct, frozen=True, kw_only=True, tag="models"):
    """All served models. Sent when a front connects, and on every change."""

    models: list[ModelStatus]


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag="reply"):
    """The answer to the front's message of that id. socket_path: of the engine, to an Acquire."""

    call_id: int
    error: ErrorInfo | None = None
    socket_path: str | None = None


class Acquire(msgspec.Struct, frozen=True, kw_only=True, tag="acquire"):
    """A request wants the model loaded until its Release. Replied to when it is.

    keep_alive_s: seconds until the idle model is unloaded; None: as configured, < 0: never.
    is_successor: for requests that have leases already, of an engine that died. is_look: it is no
    use of the model, which leaves when it would have left.
    """

    call_id: int
    model_id: str
    keep_alive_s: float | None = None
    is_look: bool = False
    is_successor: bool = False


class Release(msgspec.Struct, frozen=True, kw_only=True, tag="release"):
    """Ends the Acquire of that id, or cancels any other request that waits for a reply."""

    call_id: int


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """Load the model, at the expense of idle ones if need be. Replied to at once."""

    call_id: int
    model_id: str


class Unload(msgspec.Struct, frozen=True, kw_only=True, tag="unload"):
    """Unload the model when its requests have ended, at once if forced. Replied to when it is."""

    call_id: int
    model_id: str
    is_forced: bool = False


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag="reload"):
    """Read the configuration of the models again. Replied to when it is in force."""

    call_id: int


Request = Acquire | Release | Load | Unload | Reload
FrontMessage = Hello | Request
ControlMessage = Hello | Models | Reply


def control_decoder() -> FrameDecoder[ControlMessage]:
    """Decoder of the supervisor's messages."""
    return FrameDecoder(msgspec.msgpack.Decoder(ControlMessage))


def front_decoder() -> FrameDecoder[FrontMessage]:
    """Decoder of a front's messages."""
    return FrameDecoder(msgspec.msgpack.Decoder(FrontMessage))
