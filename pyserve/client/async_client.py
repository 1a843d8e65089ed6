"""`AsyncClient`, of a running server, and what it has in common with `pyserve.AsyncLLM`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, overload

from pyserve.client import asks
from pyserve.client.answer_schema import AnswerSchema
from pyserve.client.asks import Ask, Message, Prompt
from pyserve.client.async_server import AsyncServer
from pyserve.client.batch import (
    as_chats,
    as_params,
    as_prompts,
    as_texts,
    is_one_chat,
    is_one_prompt,
)
from pyserve.client.client import (
    MAX_CONCURRENCY,
    address,
    check_remote,
    with_model,
)
from pyserve.client.outputs import Chunk, Ranked, RequestOutput
from pyserve.client.params import SamplingParams
from pyserve.client.server import ServerAnswerError

T = TypeVar("T")


class AsyncQuestions(ABC):
    """The methods of `SyncClient` as coroutines and asynchronous iterators.

    A cancelled task cancels its request. Thread: the event loop's.
    """

    _n_at_once = MAX_CONCURRENCY

    @abstractmethod
    async def _ask(self, ask: Ask[T]) -> T: ...

    @abstractmethod
    def _stream(self, ask: Ask[Iterator[Chunk]]) -> AsyncIterator[Chunk]: ...

    @abstractmethod
    async def aclose(self) -> None:
        """End everything that runs. May come twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    @overload
    async def generate(
        self,
        prompts: Prompt,
        params: SamplingParams | None = None,
        *,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> RequestOutput: ...
    @overload
    async def generate(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> list[RequestOutput]: ...
    async def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> RequestOutput | list[RequestOutput]:
        """As `SyncClient.generate`."""
        each = as_prompts(prompts)
        answers = await self._ask_all(
            [
                asks.completion(prompt, one, schema, more)
                for prompt, one in zip(each, as_params(params, len(each), more), strict=True)
            ]
        )
        return answers[0] if is_one_prompt(prompts) else answers

    @overload
    async def chat(
        self,
        messages: Sequence[Message] | str,
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: Any = None,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> RequestOutput: ...
    @overload
    async def chat(
        self,
        messages: Sequence[Sequence[Message]],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: Any = None,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> list[RequestOutput]: ...
    async def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]] | str,
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: Any = None,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> RequestOutput | list[RequestOutput]:
        """As `SyncClient.chat`."""
        more = {"tools": tools and list(tools), "tool_choice": tool_choice, **more}
        each = as_chats(messages)
        answers = await self._ask_all(
            [
                asks.chat(chat, one, schema, more)
                for chat, one in zip(each, as_params(params, len(each), more), strict=True)
            ]
        )
        return answers[0] if is_one_chat(messages) else answers

    def stream(
        self, prompt: Prompt, params: SamplingParams | None = None, **more: Any
    ) -> AsyncIterator[Chunk]:
        """As `SyncClient.stream`."""
        return self._stream(
            asks.streamed(asks.completion(prompt, as_params(params, 1, more)[0], None, more))
        )

    def stream_chat(
        self,
        messages: Sequence[Message] | str,
        params: SamplingParams | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: Any = None,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> AsyncIterator[Chunk]:
        """As `SyncClient.stream_chat`."""
        more = {"tools": tools and list(tools), "tool_choice": tool_choice, **more}
        one = as_params(params, 1, more)[0]
        return self._stream(asks.streamed(asks.chat(messages, one, schema, more)))

    @overload
    async def embed(self, texts: Prompt, **more: Any) -> list[float]: ...
    @overload
    async def embed(self, texts: Sequence[Prompt], **more: Any) -> list[list[float]]: ...
    async def embed(
        self, texts: Prompt | Sequence[Prompt], **more: Any
    ) -> list[float] | list[list[float]]:
        """As `SyncClient.embed`."""
        vectors = await self._ask(asks.embedding(as_prompts(texts), more))
        return vectors[0] if is_one_prompt(texts) else vectors

    async def rerank(self, query: str, documents: Sequence[str], **more: Any) -> list[Ranked]:
        """As `SyncClient.rerank`."""
        return await self._ask(asks.reranking(query, documents, more))

    @overload
    async def score(self, text_1: str, text_2: str, **more: Any) -> float: ...
    @overload
    async def score(
        self, text_1: str | Sequence[str], text_2: Sequence[str], **more: Any
    ) -> list[float]: ...
    async def score(
        self, text_1: str | Sequence[str], text_2: str | Sequence[str], **more: Any
    ) -> float | list[float]:
        """As `SyncClient.score`."""
        scores = await self._ask(asks.scoring(as_texts(text_1), as_texts(text_2), more))
        return scores[0] if isinstance(text_2, str) else scores

    async def tokenize(
        self, text: str, *, add_special: bool = False, parse_special: bool = False
    ) -> list[int]:
        """As `SyncClient.tokenize`."""
        return await self._ask(
            asks.tokenizing(text, add_special=add_special, parse_special=parse_special)
        )

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """As `SyncClient.detokenize`."""
        return await self._ask(asks.detokenizing(tokens))

    async def _ask_all(self, questions: Sequence[Ask[T]]) -> list[T]:
        """All answers, in order; the first error ends the rest."""
        places = asyncio.Semaphore(self._n_at_once)

        async def ask_in_turn(question: Ask[T]) -> T:
            async with places:
                return await self._ask(question)

        tasks = [asyncio.ensure_future(ask_in_turn(question)) for question in questions]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()


class AsyncClient(AsyncQuestions):
    """A running server, for programs with an event loop; arguments as of `Client`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        model: str | None = None,
        max_concurrency: int = MAX_CONCURRENCY,
    ) -> None:
        self._server = AsyncServer(*address(url, api_key))
        self._model = model
        self._n_at_once = max_concurrency

    async def models(self) -> list[str]:
        """The names of the models that are served."""
        with ServerAnswerError.told():
            return [each["id"] for each in (await self._server.get("/v1/models"))["data"]]

    async def aclose(self) -> None:
        await self._server.aclose()

    async def _ask(self, ask: Ask[T]) -> T:
        check_remote(ask)
        with ServerAnswerError.told():
            return ask.read(await self._server.post(ask.path, with_model(ask.body, self._model)))

    async def _stream(self, ask: Ask[Iterator[Chunk]]) -> AsyncIterator[Chunk]:
        check_remote(ask)
        with ServerAnswerError.told():
            async for chunk in self._server.stream(ask.path, with_model(ask.body, self._model)):
                for piece in ask.read(chunk):
                    yield piece
