"""`AsyncLLM`: `LLM` for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pyserve.client.asks import Ask, Prompt
from pyserve.client.async_client import AsyncQuestions
from pyserve.client.async_server import AsyncServer
from pyserve.client.client import with_model
from pyserve.client.outputs import Chunk
from pyserve.client.server import ServerAnswerError
from pyserve.engine.protocol import ModelInfo
from pyserve.errors import PyserveError
from pyserve.llm.llm import LLM, URL, processed, raise_own
from pyserve.llm.transport import AsyncAppTransport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class AsyncLLM(AsyncQuestions):
    """A model that this program runs for itself; arguments, processes and errors as of `LLM`.

    `load` starts it without holding the event loop up; the constructor waits. A cancelled task
    cancels its request. Thread: the event loop's.

        async with await pyserve.AsyncLLM.load("smollm2-135m-instruct") as llm:
            async for chunk in llm.stream_chat("Tell me a story."):
                print(chunk.text, end="")
    """

    def __init__(self, model: str | Path, **options: Any) -> None:
        self._llm = LLM(model, **options)
        n_threads = max(64, 2 * self._llm._n_at_once)
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="pyserve-ask")
        transport = AsyncAppTransport(self._llm._engines.app, self._threads)
        self._server = AsyncServer(URL, transport=transport)
        self._n_at_once = self._llm._n_at_once

    @classmethod
    async def load(cls, model: str | Path, **options: Any) -> Self:
        """As the constructor, in another thread."""
        return await asyncio.to_thread(lambda: cls(model, **options))

    @property
    def model(self) -> str:
        """The model's name."""
        return self._llm.model

    async def info(self) -> ModelInfo:
        """As `LLM.info`."""
        return await asyncio.to_thread(lambda: self._llm.info)

    async def logits(
        self, prompt: Prompt, *, last: int | None = None, add_special: bool = True
    ) -> NDArray[np.float32]:
        """As `LLM.logits`."""
        return await asyncio.to_thread(self._llm.logits, prompt, last=last, add_special=add_special)

    async def aclose(self) -> None:
        await self._server.aclose()
        await asyncio.to_thread(self._llm.close)
        self._threads.shutdown(wait=False)

    async def _ask(self, ask: Ask[T]) -> T:
        processing, extensions = processed(ask)
        try:
            with ServerAnswerError.told():
                body = with_model(ask.body, self.model)
                return ask.read(await self._server.post(ask.path, body, extensions))
        except PyserveError:
            raise_own(processing)
            raise

    async def _stream(self, ask: Ask[Iterator[Chunk]]) -> AsyncIterator[Chunk]:
        processing, extensions = processed(ask)
        try:
            with ServerAnswerError.told():
                body = with_model(ask.body, self.model)
                async for chunk in self._server.stream(ask.path, body, extensions):
                    for piece in ask.read(chunk):
                        yield piece
        except PyserveError:
            raise_own(processing)
            raise
