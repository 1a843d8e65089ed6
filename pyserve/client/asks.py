"""Questions to a server as data: the path and body of each, and how its answer is read."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Generic, TypeVar

from pyserve.client.answer_schema import AnswerSchema, reader, response_format
from pyserve.client.outputs import (
    Chunk,
    CompletionOutput,
    Ranked,
    RequestOutput,
    TokenLogprob,
    ToolCall,
    ToolCallPiece,
    Usage,
)
from pyserve.client.params import LogitsProcessor, SamplingParams
from pyserve.errors import InvalidRequestError

T = TypeVar("T")
Prompt = str | Sequence[int]
Message = Mapping[str, Any]
Fields = Mapping[str, Any]

PLAIN = SamplingParams()


@dataclass(frozen=True)
class Ask(Generic[T]):
    """A question. read: makes of the JSON that answers it, or of each chunk, what callers get."""

    path: str
    body: dict[str, Any]
    read: Callable[[Any], T]
    processors: tuple[LogitsProcessor, ...] = ()


def completion(
    prompt: Prompt, params: SamplingParams, schema: AnswerSchema | None, more: Fields
) -> Ask[RequestOutput]:
    """Continues a text."""
    body = {"prompt": _plain(prompt), "return_tokens": True, **_body(params, schema, more)}
    if params.logprobs is not None:
        body["logprobs"] = params.logprobs
    return _generating("/v1/completions", body, params, _completion_output, schema)


def chat(
    messages: Sequence[Message] | str,
    params: SamplingParams,
    schema: AnswerSchema | None,
    more: Fields,
) -> Ask[RequestOutput]:
    """Answers a conversation."""
    body = {
        "messages": _conversation(messages),
        "return_tokens": True,
        **_body(params, schema, more),
    }
    if params.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": params.logprobs}
    return _generating("/v1/chat/completions", body, params, _chat_output, schema)


def streamed(ask: Ask[RequestOutput]) -> Ask[Iterator[Chunk]]:
    """The same question, answered in pieces."""
    body = {name: value for name, value in ask.body.items() if name != "return_tokens"}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Ask(ask.path, body, _chunks, ask.processors)


def embedding(texts: Sequence[Prompt], more: Fields) -> Ask[list[list[float]]]:
    """Vectors of length 1."""
    body = {"input": [_plain(text) for text in texts], "encoding_format": "base64", **more}
    return Ask("/v1/embeddings", body, _vectors)


def reranking(query: str, documents: Sequence[Any], more: Fields) -> Ask[list[Ranked]]:
    """Documents, the best first."""
    body = {"query": query, "documents": list(documents), **more}
    return Ask("/v1/rerank", body, _ranked)


def scoring(text_1: str | list[str], text_2: str | list[str], more: Fields) -> Ask[list[float]]:
    """How well texts go together."""
    body = {"text_1": text_1, "text_2": text_2, **more}
    return Ask("/v1/score", body, lambda answer: [each["score"] for each in answer["data"]])


def tokenizing(text: str, *, add_special: bool, parse_special: bool) -> Ask[list[int]]:
    body = {"content": text, "add_special": add_special, "parse_special": parse_special}
    return Ask("/tokenize", body, lambda answer: list(answer["tokens"]))


def detokenizing(tokens: Sequence[int]) -> Ask[str]:
    return Ask(
        "/detokenize",
        {"tokens": [int(token) for token in tokens]},
        lambda answer: str(answer["content"]),
    )


def _plain(prompt: Prompt) -> str | list[int]:
    return prompt if isinstance(prompt, str) else [int(token) for token in prompt]


def _conversation(messages: Sequence[Message] | str) -> list[dict[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [dict(message) for message in messages]


def _body(params: SamplingParams, schema: AnswerSchema | None, more: Fields) -> dict[str, Any]:
    if more.get("stream"):
        message = "stream=True: the methods stream and stream_chat give an answer in pieces"
        raise InvalidRequestError(message, param="stream")
    body = {**params.body(), **{name: value for name, value in more.items() if value is not None}}
    if schema is not None:
        body["response_format"] = response_format(schema)
    return body


def _generating(
    path: str,
    body: dict[str, Any],
    params: SamplingParams,
    read: Callable[[Any, Callable[[str], Any] | None], CompletionOutput],
    schema: AnswerSchema | None,
) -> Ask[RequestOutput]:
    parse = None if schema is None else reader(schema)

    def read_all(answer: Any) -> RequestOutput:
        return RequestOutput(
            tuple(read(choice, parse) for choice in answer["choices"]),
            _usage(answer["usage"]),
            answer["model"],
            tuple(answer.get("prompt_token_ids") or _first_prompt(answer)),
        )

    return Ask(path, body, read_all, tuple(params.logits_processors))


def _first_prompt(answer: Any) -> list[int]:
    return answer["choices"][0].get("prompt_token_ids") or []


def _completion_output(choice: Any, parse: Callable[[str], Any] | None) -> CompletionOutput:
    scores = choice.get("logprobs")
    return CompletionOutput(
        choice["index"],
        choice["text"],
        choice["finish_reason"],
        stop_reason=choice.get("stop_reason"),
        token_ids=tuple(choice.get("tokens") or choice.get("token_ids") or ()),
        logprobs=None if scores is None else _completion_logprobs(scores),
        parsed=_parsed(choice["text"], choice["finish_reason"], parse),
    )


def _chat_output(choice: Any, parse: Callable[[str], Any] | None) -> CompletionOutput:
    message, scores = choice["message"], choice.get("logprobs")
    text = message.get("content") or ""
    calls = tuple(_call(each) for each in message.get("tool_calls") or ())
    return CompletionOutput(
        choice["index"],
        text,
        choice["finish_reason"],
        message.get("reasoning_content") or "",
        calls,
        choice.get("stop_reason"),
        tuple(choice.get("tokens") or choice.get("token_ids") or ()),
        None if scores is None else _chat_logprobs(scores),
        None if calls else _parsed(text, choice["finish_reason"], parse),
    )


def _parsed(text: str, finish_reason: str, parse: Callable[[str], Any] | None) -> Any:
    """The object; None where the answer was cut off, and is none yet."""
    return None if parse is None or finish_reason == "length" else parse(text)


def _call(call: Any) -> ToolCall:
    if call["type"] == "custom":
        return ToolCall(call["id"], call["custom"]["name"], call["custom"]["input"])
    return ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])


def _completion_logprobs(scores: Any) -> tuple[TokenLogprob, ...]:
    rows = zip_longest(scores["tokens"], scores["token_logprobs"], scores["top_logprobs"] or ())
    return tuple(TokenLogprob(token, logprob, top or {}) for token, logprob, top in rows)


def _chat_logprobs(scores: Any) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            each["token"],
            each["logprob"],
            {top["token"]: top["logprob"] for top in each["top_logprobs"]},
        )
        for each in scores["content"] or ()
    )


def _usage(usage: Any) -> Usage:
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        usage["prompt_tokens"],
        usage["completion_tokens"],
        prompt.get("cached_tokens", 0),
        completion.get("reasoning_tokens", 0),
    )


def _chunks(chunk: Any) -> Iterator[Chunk]:
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {"content": choice.get("text")}
        yield Chunk(
            choice["index"],
            delta.get("content") or "",
            delta.get("reasoning_content") or "",
            tuple(_call_piece(each) for each in delta.get("tool_calls") or ()),
            choice.get("finish_reason"),
        )
    if chunk.get("usage"):
        yield Chunk(usage=_usage(chunk["usage"]))


def _call_piece(piece: Any) -> ToolCallPiece:
    called = piece.get("function") or piece.get("custom") or {}
    return ToolCallPiece(
        piece["index"],
        called.get("arguments") or called.get("input") or "",
        piece.get("id", ""),
        called.get("name", ""),
    )


def _vectors(answer: Any) -> list[list[float]]:
    vectors = []
    for each in answer["data"]:
        numbers = array("f")
        numbers.frombytes(base64.b64decode(each["embedding"]))
        vectors.append(numbers.tolist())
    return vectors


def _ranked(answer: Any) -> list[Ranked]:
    return [Ranked(each["index"], each["relevance_score"]) for each in answer["results"]]
