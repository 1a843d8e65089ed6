"""pyserve: GGUF language models on CPUs behind the OpenAI text API, and in programs of one's own.

`LLM` and `AsyncLLM` run a model for this program; `Client` and `AsyncClient` ask a running server.
What is named here is the public API; it is imported when it is used, so that this costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as checkers know it; to import typing would cost more than all else here

if TYPE_CHECKING:
    from pyserve.client.async_client import AsyncClient
    from pyserve.client.client import Client
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
    from pyserve.client.server import NoServerError, ServerAnswerError
    from pyserve.errors import (
        ContextLengthExceededError,
        InvalidRequestError,
        ModelLoadError,
        ModelNotFoundError,
        PyserveError,
        RateLimitError,
        UnavailableError,
    )
    from pyserve.llm.async_llm import AsyncLLM
    from pyserve.llm.llm import LLM

_OUTPUTS = "pyserve.client.outputs"
_ERRORS = "pyserve.errors"
_HOMES = {
    "AsyncClient": "pyserve.client.async_client",
    "AsyncLLM": "pyserve.llm.async_llm",
    "Chunk": _OUTPUTS,
    "Client": "pyserve.client.client",
    "CompletionOutput": _OUTPUTS,
    "ContextLengthExceededError": _ERRORS,
    "InvalidRequestError": _ERRORS,
    "LLM": "pyserve.llm.llm",
    "LogitsProcessor": "pyserve.client.params",
    "ModelLoadError": _ERRORS,
    "ModelNotFoundError": _ERRORS,
    "NoServerError": "pyserve.client.server",
    "PyserveError": _ERRORS,
    "Ranked": _OUTPUTS,
    "RateLimitError": _ERRORS,
    "RequestOutput": _OUTPUTS,
    "SamplingParams": "pyserve.client.params",
    "ServerAnswerError": "pyserve.client.server",
    "TokenLogprob": _OUTPUTS,
    "ToolCall": _OUTPUTS,
    "ToolCallPiece": _OUTPUTS,
    "UnavailableError": _ERRORS,
    "Usage": _OUTPUTS,
}

__all__ = [
    "LLM",
    "AsyncClient",
    "AsyncLLM",
    "Chunk",
    "Client",
    "CompletionOutput",
    "ContextLengthExceededError",
    "InvalidRequestError",
    "LogitsProcessor",
    "ModelLoadError",
    "ModelNotFoundError",
    "NoServerError",
    "PyserveError",
    "Ranked",
    "RateLimitError",
    "RequestOutput",
    "SamplingParams",
    "ServerAnswerError",
    "TokenLogprob",
    "ToolCall",
    "ToolCallPiece",
    "UnavailableError",
    "Usage",
    "__version__",
]


if not TYPE_CHECKING:  # checkers know what there is

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            hint = ": LLM(path, ctx_size=...) runs a model" if name == "Llama" else ""
            raise AttributeError(f"module 'pyserve' has no attribute {name!r}{hint}")
        import importlib  # noqa: PLC0415  # not before it is needed

        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
