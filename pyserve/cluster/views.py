"""What replicas, the follower and fronts tell each other of a cluster: plain structs."""

from __future__ import annotations

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.engine.remote.wire import FrameDecoder

APP_PREFIX = "model-"


class ReplicaView(msgspec.Struct, frozen=True, kw_only=True):
    """One replica. host, port, token: of its gate. statuses: its model, and those with adapters.

    node: the machine's id in Ray.
    """

    replica_id: str
    host: str
    port: int
    token: bytes
    statuses: list[ModelStatus]
    node: str = ""


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """One deployed model. message: what Ray says of one that does not come up."""

    model_id: str
    state: str
    message: str = ""
    replicas: list[ReplicaView] = []


class Directory(msgspec.Struct, frozen=True, kw_only=True, tag="directory"):
    """All deployed models, the follower to its front; on every change."""

    models: list[ModelView]


class Trouble(msgspec.Struct, frozen=True, kw_only=True, tag="trouble"):
    """Why the follower does not know the cluster; what it told before stays."""

    message: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True, tag="wanted"):
    """The front to its follower: a request waits for a model without replicas."""

    model_id: str


News = Directory | Trouble


def news_decoder() -> FrameDecoder[News]:
    """Decoder of what the follower tells."""
    return FrameDecoder(msgspec.msgpack.Decoder(News))


def wish_decoder() -> FrameDecoder[Wanted]:
    """Decoder of what the front wishes."""
    return FrameDecoder(msgspec.msgpack.Decoder(Wanted))


def app_name(model_id: str) -> str:
    """The name of the model's application in Ray Serve."""
    return APP_PREFIX + model_id
