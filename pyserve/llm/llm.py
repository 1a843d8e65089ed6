"""`LLM`: a model in a program of one's own."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask

from pyserve.client.asks import Ask, Prompt
from pyserve.client.client import SyncClient, with_model
from pyserve.client.outputs import Chunk
from pyserve.client.server import Server, ServerAnswerError
from pyserve.engine.protocol import ModelInfo
from pyserve.errors import PyserveError
from pyserve.llm import arrays
from pyserve.llm.engines import Engines, read_settings
from pyserve.llm.processing import Processing
from pyserve.llm.transport import WITH_ENGINE, AppTransport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

URL = "http://localhost"
N_AHEAD = 4  # so many requests wait beside those that run


class AppClient(SyncClient):
    """The models of an application in this process. `close` leaves the application as it is."""

    def __init__(self, app: Flask, model: str | None, n_at_once: int) -> None:
        self._server = Server(URL, transport=AppTransport(app))
        self._model = model
        self._n_at_once = n_at_once

    def close(self) -> None:
        self._server.close()

    def _ask(self, ask: Ask[T]) -> T:
        processing, extensions = processed(ask)
        try:
            with ServerAnswerError.told():
                body = with_model(ask.body, self._model)
                return ask.read(self._server.post(ask.path, body, extensions))
        except PyserveError:
            raise_own(processing)
            raise

    def _stream(self, ask: Ask[Iterator[Chunk]]) -> Iterator[Chunk]:
        processing, extensions = processed(ask)
        try:
            with ServerAnswerError.told():
                body = with_model(ask.body, self._model)
                for chunk in self._server.stream(ask.path, body, extensions):
                    yield from ask.read(chunk)
        except PyserveError:
            raise_own(processing)
            raise


class LLM(AppClient):
    """A model that this program runs for itself, as `pyserve serve` would.

    model: a gallery name, which is pulled where it is missing, a name in the models directory, or
      the path of a GGUF file.
    config_file: instead of the user's own pyserve.toml.
    log_level: of the engine's process, on standard error.
    options: those of `pyserve serve`, with `_`: `ctx_size=4096, threads=8, parallel=32`. They go
      before the environment (PYSERVE_*) and the file, and have the same defaults, but for
      strict_fields: a keyword that no field of a request has is an error.

    The model is computed in a process of its own, started again if it should crash, so that a bad
    file never ends this program. It ends with `close`, as a context manager does, and with this
    program. Any thread may call any method; what several ask at a time shares one batch, and what
    beginnings they have in common is computed once.

    Raises ModelNotFoundError, ModelLoadError, and InvalidRequestError for an option. See SyncClient
    for the other methods.

        with pyserve.LLM("smollm2-135m-instruct") as llm:
            print(llm.chat("What is the capital of France?").text)
    """

    def __init__(
        self,
        model: str | Path,
        *,
        config_file: Path | None = None,
        log_level: str = "error",
        **options: Any,
    ) -> None:
        settings = read_settings(model, config_file, {"log_level": log_level, **options})
        self._engines = Engines(settings)
        super().__init__(self._engines.app, self._engines.model_id, settings.parallel + N_AHEAD)
        self._end = weakref.finalize(self, self._engines.close)

    @property
    def model(self) -> str:
        """The model's name."""
        return self._engines.model_id

    @property
    def info(self) -> ModelInfo:
        """What the model is: n_vocab, n_embd, n_ctx, quantization ..."""
        lease = self._engines.lease()
        try:
            return lease.engine.info()
        finally:
            lease.release()

    def logits(
        self, prompt: Prompt, *, last: int | None = None, add_special: bool = True
    ) -> NDArray[np.float32]:
        """The logits of what follows each token of a prompt: float32 [n_tokens, n_vocab].

        As the model gives them: no temperature, no penalty, no softmax. last: of the last so many
        tokens only; `last=1` is what the next token is drawn from. add_special: the tokens of a
        text begin as the model wants. Raises ContextLengthExceededError, and ImportError where
        there is no NumPy. 4 * n_vocab bytes for each row: 192 KiB for a vocabulary of 49,152.
        """
        arrays.load_numpy()
        lease = self._engines.lease()
        try:
            engine = lease.engine
            tokens = (
                engine.tokenize(prompt, add_special=add_special, parse_special=False)
                if isinstance(prompt, str)
                else [int(token) for token in prompt]
            )
            return arrays.logits(engine, tokens, last)
        finally:
            lease.release()

    def close(self) -> None:
        """End the engine and everything that runs in it. May come twice."""
        super().close()
        self._end()


def processed(ask: Ask[T]) -> tuple[Processing | None, dict[str, Any]]:
    """The question's logits processors at work, and what the transport is told of them."""
    if not ask.processors:
        return None, {}
    arrays.load_numpy()
    processing = Processing(ask.processors)
    return processing, {WITH_ENGINE: processing.over}


def raise_own(processing: Processing | None) -> None:
    """Raises what a processor raised, for which the request failed."""
    if processing is not None and processing.error is not None:
        raise processing.error
