"""Examples of Ollama's API for the OpenAPI document, made by the real translation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyserve.ollama.answer import LineAnswer
from pyserve.ollama.conversation import chat_of, chat_of_prompt
from pyserve.ollama.embeddings import OllamaEmbedding, OllamaEmbeddings
from pyserve.ollama.lines import Clock, LineMaker
from pyserve.openai.chat.chat import chat_requests
from pyserve.openai.document.examples import CREATED, INFO, MODEL, Example
from pyserve.schemas.ollama import (
    OllamaChatRequest,
    OllamaGenerateRequest,
)

CHAT: Mapping[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "options": {"temperature": 0.7, "num_predict": 64},
    "stream": False,
}
TEXT: Mapping[str, Any] = {
    "model": MODEL,
    "prompt": "What is the capital of France?",
    "system": "Answer in one short sentence.",
    "stream": False,
}
EMBED: Mapping[str, Any] = {"model": MODEL, "input": ["A red fox in the snow"]}
EMBEDDINGS: Mapping[str, Any] = {"model": MODEL, "prompt": "A red fox in the snow"}
PIECES = ["The capital", " of France", " is Paris."]
VECTOR = [0.25, -0.5, 0.75]
TOTAL_NS = 98_000_000


class SteadyClock(Clock):
    """Always the same time, so that the document is."""

    def __init__(self) -> None:
        super().__init__(created_s=CREATED)

    @property
    def total_ns(self) -> int:
        return TOTAL_NS


def chat() -> Example:
    (request,) = chat_requests(chat_of(OllamaChatRequest.model_validate(CHAT)), INFO)
    return _example(request, is_chat=True)


def text() -> Example:
    (request,) = chat_requests(chat_of_prompt(OllamaGenerateRequest.model_validate(TEXT)), INFO)
    return _example(request, is_chat=False)


def _example(request: Any, *, is_chat: bool) -> Example:
    maker = LineMaker(MODEL, SteadyClock(), is_chat=is_chat)
    return Example(LineAnswer(request, maker, prompt_param="", grammar_param=""), PIECES)


def embed() -> OllamaEmbeddings:
    return OllamaEmbeddings(
        model=MODEL, embeddings=[VECTOR], total_duration=TOTAL_NS, prompt_eval_count=6
    )


def embedding() -> OllamaEmbedding:
    return OllamaEmbedding(VECTOR)
