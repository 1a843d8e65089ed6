"""Examples of Ollama's API for the OpenAPI document, made by the real translation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from pyserve.backend.protocol import ModelStatus
from pyserve.models.facts import FileFacts
from pyserve.ollama.answer import LineAnswer
from pyserve.ollama.conversation import chat_of, chat_of_prompt
from pyserve.ollama.embeddings import OllamaEmbedding, OllamaEmbeddings
from pyserve.ollama.lines import Clock, LineMaker
from pyserve.ollama.models import (
    OllamaModels,
    OllamaProcesses,
    OllamaShow,
    listed,
    running,
    shown,
)
from pyserve.ollama.pulling import SUCCESS, VERIFYING, OllamaProgress
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
COPY: Mapping[str, Any] = {"source": MODEL, "destination": "small"}
NAMED: Mapping[str, Any] = {"model": MODEL}
PIECES = ["The capital", " of France", " is Paris."]
VECTOR = [0.25, -0.5, 0.75]
TOTAL_NS = 98_000_000
STATUS = ModelStatus(
    id=MODEL,
    created=CREATED,
    state="ready",
    info=INFO,
    n_bytes=INFO.size_bytes + (512 << 20),
    model_path="SmolLM2-135M-Instruct.Q4_1.gguf",
)
FACTS = FileFacts(
    metadata={
        "general.architecture": "llama",
        "general.file_type": 3,
        "general.license": "apache-2.0",
        "llama.context_length": 8192,
    },
    template=INFO.chat_template,
    n_params=INFO.n_params,
    n_bytes=INFO.size_bytes,
    changed_s=CREATED,
    digest="0123456789abcdef" * 4,
    is_hash=True,
)


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


def tags() -> OllamaModels:
    return OllamaModels(listed(STATUS, FACTS))


def processes() -> OllamaProcesses:
    now = datetime.fromtimestamp(CREATED, UTC)
    loaded = msgspec.structs.replace(STATUS, expires_at=300)
    return OllamaProcesses([running(loaded, FACTS, now, 0.0)])


def show() -> OllamaShow:
    return shown(STATUS, FACTS)


def pull() -> list[Any]:
    progress = OllamaProgress(
        status="pulling 0123456789ab",
        digest="sha256:" + "0123456789abcdef" * 4,
        total=INFO.size_bytes,
        completed=INFO.size_bytes // 2,
    )
    begun, written = (
        OllamaProgress(status=text) for text in ("pulling manifest", "writing manifest")
    )
    told = [begun, progress, VERIFYING, written, SUCCESS]
    return [msgspec.to_builtins(each) for each in told]
