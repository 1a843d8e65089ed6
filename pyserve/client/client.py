"""`Client`, of a running server, and what it has in common with `pyserve.LLM`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from pyserve.client import asks
from pyserve.client.answer_schema import AnswerSchema
from pyserve.client.asks import Ask, Message, Prompt
from pyserve.client.batch import (
    as_chats,
    as_params,
    as_prompts,
    as_texts,
    is_one_chat,
    is_one_prompt,
)
from pyserve.client.outputs import Chunk, Ranked, RequestOutput
from pyserve.client.params import SamplingParams
from pyserve.client.server import Server, ServerAnswerError
from pyserve.errors import InvalidRequestError

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
MAX_CONCURRENCY = 16
# Methods as llama-cpp-python and vLLM call them.
OTHER_NAMES = {
    "create_chat_completion": "chat",
    "create_completion": "generate",
    "create_embedding": "embed",
    "encode": "embed",
    "eval": "logits",
    "get_tokenizer": "tokenize and detokenize",
}


class SyncClient(ABC):
    """Questions to models. Every method may be called from any thread.

    Prompts are texts, or lists of token ids that are taken as they are. Methods that take one
    prompt or conversation take a list of them as well, and give a list in the same order: they run
    beside each other, and a beginning that they share is computed once.

    more: any further field of the HTTP API's request, such as `cache_salt="a"`.

    All methods raise PyserveError: InvalidRequestError for what cannot be done (`param` names the
    field), ContextLengthExceededError for a prompt that does not fit, UnavailableError (with
    `details["retry_after_s"]`) while a server is too busy, ModelNotFoundError, ModelLoadError.
    """

    _n_at_once = MAX_CONCURRENCY

    if not TYPE_CHECKING:  # checkers know what there is

        def __getattr__(self, name: str) -> Any:
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            other = OTHER_NAMES.get(name)
            raise AttributeError(f"{text}: it is {other} here" if other else text)

    @abstractmethod
    def _ask(self, ask: Ask[T]) -> T: ...

    @abstractmethod
    def _stream(self, ask: Ask[Iterator[Chunk]]) -> Iterator[Chunk]: ...

    @abstractmethod
    def close(self) -> None:
        """End everything that runs. May come twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @overload
    def generate(
        self,
        prompts: Prompt,
        params: SamplingParams | None = None,
        *,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> RequestOutput: ...
    @overload
    def generate(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> list[RequestOutput]: ...
    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> RequestOutput | list[RequestOutput]:
        """Continue texts, as they are: no chat template is used.

        params: for all prompts, or one for each. schema: what the text obeys, a JSON Schema or a
        class such as a pydantic model; the object is `parsed` of the output.
        """
        each = as_prompts(prompts)
        answers = self._ask_all(
            [
                asks.completion(prompt, one, schema, more)
                for prompt, one in zip(each, as_params(params, len(each), more), strict=True)
            ]
        )
        return answers[0] if is_one_prompt(prompts) else answers

    @overload
    def chat(
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
    def chat(
        self,
        messages: Sequence[Sequence[Message]],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: Any = None,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> list[RequestOutput]: ...
    def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]] | str,
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: Any = None,
        schema: AnswerSchema | None = None,
        **more: Any,
    ) -> RequestOutput | list[RequestOutput]:
        """Answer a conversation, or each of several, in the model's chat template.

        messages: OpenAI's, `{"role": ..., "content": ...}`; a text is one message of the user.
        tools, tool_choice: OpenAI's; calls are `tool_calls` of the output, which `message` gives
        back to the conversation. schema: as in `generate`.
        """
        more = {"tools": tools and list(tools), "tool_choice": tool_choice, **more}
        each = as_chats(messages)
        answers = self._ask_all(
            [
                asks.chat(chat, one, schema, more)
                for chat, one in zip(each, as_params(params, len(each), more), strict=True)
            ]
        )
        return answers[0] if is_one_chat(messages) else answers

    def stream(
        self, prompt: Prompt, params: SamplingParams | None = None, **more: Any
    ) -> Iterator[Chunk]:
        """`generate` in pieces, as they come. Closing the iterator cancels the request."""
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
    ) -> Iterator[Chunk]:
        """`chat` in pieces, as they come. Closing the iterator cancels the request."""
        more = {"tools": tools and list(tools), "tool_choice": tool_choice, **more}
        one = as_params(params, 1, more)[0]
        return self._stream(asks.streamed(asks.chat(messages, one, schema, more)))

    @overload
    def embed(self, texts: Prompt, **more: Any) -> list[float]: ...
    @overload
    def embed(self, texts: Sequence[Prompt], **more: Any) -> list[list[float]]: ...
    def embed(
        self, texts: Prompt | Sequence[Prompt], **more: Any
    ) -> list[float] | list[list[float]]:
        """The vector of a text, of length 1, or those of several: n_embd numbers each.

        `dimensions=256` gives the first so many, made 1 long again.
        """
        vectors = self._ask(asks.embedding(as_prompts(texts), more))
        return vectors[0] if is_one_prompt(texts) else vectors

    def rerank(self, query: str, documents: Sequence[str], **more: Any) -> list[Ranked]:
        """The documents by how well they answer the query, the best first.

        `top_n=3` gives the best three.
        """
        return self._ask(asks.reranking(query, documents, more))

    @overload
    def score(self, text_1: str, text_2: str, **more: Any) -> float: ...
    @overload
    def score(
        self, text_1: str | Sequence[str], text_2: Sequence[str], **more: Any
    ) -> list[float]: ...
    def score(
        self, text_1: str | Sequence[str], text_2: str | Sequence[str], **more: Any
    ) -> float | list[float]:
        """How well text_2 answers text_1, by a ranking model or a chat model's yes and no.

        One with one, one with each of several, or as many with as many.
        """
        scores = self._ask(asks.scoring(as_texts(text_1), as_texts(text_2), more))
        return scores[0] if isinstance(text_2, str) else scores

    def tokenize(
        self, text: str, *, add_special: bool = False, parse_special: bool = False
    ) -> list[int]:
        """The token ids of a text.

        add_special: with those that the model wants at the beginning and the end. parse_special:
        names of control tokens in the text are read as these.
        """
        return self._ask(
            asks.tokenizing(text, add_special=add_special, parse_special=parse_special)
        )

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD."""
        return self._ask(asks.detokenizing(tokens))

    def _ask_all(self, questions: Sequence[Ask[T]]) -> list[T]:
        """All answers, in order. The first error ends those that have not begun, and is raised."""
        if len(questions) < 2:  # noqa: PLR2004
            return [self._ask(question) for question in questions]
        n_threads = min(len(questions), self._n_at_once)
        with ThreadPoolExecutor(n_threads, thread_name_prefix="pyserve-batch") as pool:
            futures = [pool.submit(self._ask, question) for question in questions]
            try:
                return [future.result() for future in futures]
            finally:
                for future in futures:
                    future.cancel()


class Client(SyncClient):
    """A running server: pyserve, and most that speak OpenAI's API.

    url: `http:` or `https:`, or `unix:/path` of a Unix socket; else $PYSERVE_URL, or
      http://127.0.0.1:8080. api_key: else $PYSERVE_KEY.
    model: its name; None: the server's only or default one.
    max_concurrency: how many requests of a list are with the server at a time.

    See SyncClient for the methods and what they raise, and beside that NoServerError where nobody
    listens. A context manager; `close` ends its connections.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        model: str | None = None,
        max_concurrency: int = MAX_CONCURRENCY,
    ) -> None:
        self._server = Server(*address(url, api_key))
        self._model = model
        self._n_at_once = max_concurrency

    def models(self) -> list[str]:
        """The names of the models that are served."""
        with ServerAnswerError.told():
            return [each["id"] for each in self._server.get("/v1/models")["data"]]

    def close(self) -> None:
        self._server.close()

    def _ask(self, ask: Ask[T]) -> T:
        check_remote(ask)
        with ServerAnswerError.told():
            return ask.read(self._server.post(ask.path, with_model(ask.body, self._model)))

    def _stream(self, ask: Ask[Iterator[Chunk]]) -> Iterator[Chunk]:
        check_remote(ask)
        body = with_model(ask.body, self._model)
        with ServerAnswerError.told():
            for chunk in self._server.stream(ask.path, body):
                yield from ask.read(chunk)


def address(url: str | None, api_key: str | None) -> tuple[str, str]:
    """Where the server is, and the key that it is shown."""
    key = os.environ.get("PYSERVE_KEY", "") if api_key is None else api_key
    return url or os.environ.get("PYSERVE_URL") or DEFAULT_URL, key


def with_model(body: dict[str, Any], model: str | None) -> dict[str, Any]:
    """The body, which may name a model itself."""
    return body if model is None else {"model": model, **body}


def check_remote(ask: Ask[T]) -> None:
    """Raises InvalidRequestError for what only an engine of this program can do."""
    if ask.processors:
        raise InvalidRequestError(
            "logits_processors are functions of this program: use pyserve.LLM, which runs the "
            "model for it",
            param="logits_processors",
        )
