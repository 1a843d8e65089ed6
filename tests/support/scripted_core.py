"""An engine core whose every event is pushed by the test, and which records its calls."""

from __future__ import annotations

import queue
from typing import Any

from pyserve.engine.calls import (
    Askable,
    Detokenize,
    GetInfo,
    GetStats,
    Pieces,
    Render,
    ScaleAdapters,
    Tokenize,
    TokenizeChat,
    TokenizeSegments,
)
from pyserve.engine.protocol import (
    Accepted,
    Delta,
    EngineStats,
    Event,
    Failed,
    Finish,
    GenerateRequest,
    ModelInfo,
    Step,
    Usage,
)
from pyserve.errors import CancelledError, PyserveError, QueueFullError, UnavailableError

MODEL = ModelInfo(
    architecture="scripted",
    description="scripted test core",
    quantization="none",
    n_params=1,
    size_bytes=1,
    n_vocab=256,
    n_embd=1,
    n_layer=1,
    n_ctx_train=128,
    n_ctx=128,
    n_seq_max=2,
    n_threads=1,
    has_chat_template=False,
)


def rendered(messages: list[dict[str, Any]]) -> str:
    return "".join(f"{message['role']}: {message['content']}\n" for message in messages)


class ScriptedCore(Askable):
    """Implements `EngineCore`. `push` makes `poll` return events; `crash` makes it raise."""

    def __init__(self, *, n_requests_max: int = 100) -> None:
        self.requests: dict[int, GenerateRequest] = {}
        self.cancelled: list[int] = []
        self.is_closed = False
        self._n_requests_max = n_requests_max
        self._events: queue.Queue[list[Event] | Exception] = queue.Queue()

    def push(self, *events: Event) -> None:
        self._events.put(list(events))

    def crash(self, error: Exception) -> None:
        self._events.put(error)

    def submit(self, request_id: int, request: GenerateRequest) -> None:
        if len(self.requests) >= self._n_requests_max:
            raise QueueFullError("the queue is full", retry_after_s=1)
        self.requests[request_id] = request

    def cancel(self, request_id: int) -> None:
        self.cancelled.append(request_id)
        if request_id in self.requests:
            self.push(failed(request_id, CancelledError("cancelled")))

    def poll(self, timeout_s: float) -> list[Event]:
        try:
            events = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return []
        if isinstance(events, Exception):
            raise events
        return events

    def ask(self, call: Any) -> Any:  # noqa: PLR0911  # a table
        match call:
            case Tokenize(text=text):
                return list(text.encode())
            case Detokenize(tokens=tokens):
                return bytes(tokens).decode(errors="replace")
            case Pieces(tokens=tokens):
                return [bytes([token]) for token in tokens]
            case TokenizeSegments(segments=segments):
                return list("".join(segment.text for segment in segments).encode())
            case TokenizeChat(messages=messages):
                return list(rendered(messages).encode())
            case Render(messages=messages):
                return rendered(messages)
            case GetInfo():
                return MODEL
            case ScaleAdapters(scales=scales):
                return scales
            case GetStats():
                return EngineStats(n_running=len(self.requests))

    def close(self) -> None:
        self.is_closed = True
        self.crash(UnavailableError("closed"))


def accepted(request_id: int, n_prompt_tokens: int = 3) -> Accepted:
    return Accepted(request_id=request_id, n_prompt_tokens=n_prompt_tokens)


def step(request_id: int, text: str) -> Step:
    return Step(request_id=request_id, delta=Delta(text=text, n_tokens=1))


def finished(request_id: int, text: str = "") -> Step:
    usage = Usage(n_prompt_tokens=3, n_completion_tokens=1)
    delta = Delta(text=text, n_tokens=1, finish=Finish(reason="stop", usage=usage))
    return Step(request_id=request_id, delta=delta)


def failed(request_id: int, error: PyserveError) -> Failed:
    return Failed(request_id=request_id, error=error.to_info())
