"""What the front needs from whoever owns the engines: which models there are, and their engines."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from pyserve.engine.protocol import Engine, ModelInfo
from pyserve.errors import ErrorInfo
from pyserve.models.profile import PLAIN, ModelProfile

ModelState = Literal["loading", "ready", "failed", "stopped"]


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One served model.

    id: the name clients use. created: Unix seconds (the model file's modification time).
    info: set while `ready`. error: why it is `failed`. socket_path: the engine's socket.
    profile: what the model's configuration says about requests.
    """

    id: str
    created: int
    state: ModelState
    info: ModelInfo | None = None
    error: ErrorInfo | None = None
    socket_path: str | None = None
    n_restarts: int = 0
    profile: ModelProfile = PLAIN


class Backend(Protocol):
    """The served models. Any thread may call any method."""

    def models(self) -> list[ModelStatus]:
        """All served models, in the order they were named; never blocks on an engine."""
        ...

    def engine(self, model_id: str, *, wait_s: float = 0.0) -> Engine:
        """The engine of a ready model, waiting up to `wait_s` while it is loading.

        Raises ModelNotFoundError, ModelLoadingError (details: retry_after_s) or ModelLoadError.
        """
        ...

    def close(self) -> None: ...
