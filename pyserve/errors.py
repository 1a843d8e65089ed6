"""The exception tree, and the plain record an exception crosses a process boundary as.

PyserveError
 ├─ InvalidRequestError           the client's mistake (400)
 │   ├─ ContextLengthExceededError
 │   ├─ UnauthorizedError         no valid API key (401)
 │   └─ PermissionDeniedError     the key, host or origin may not do this (403)
 ├─ ModelNotFoundError            no such model (404)
 ├─ NotFoundError                 nothing else of that id (404)
 ├─ RateLimitError                the API key has used what it may (429)
 ├─ ModelLoadError                the model file cannot be loaded (503, permanent until repaired)
 ├─ UnavailableError              try again later (503)
 │   ├─ ModelLoadingError
 │   ├─ ModelBusyError            it is to be unloaded, but requests still run in it
 │   ├─ QueueFullError
 │   ├─ DeadlineExceededError     it waited for as long as the client allowed
 │   └─ EngineRestartedError      the engine process died under the request
 ├─ NotSupportedError             what this server does not do at all (501)
 ├─ CancelledError                cancelled by the client or by shutdown
 └─ InternalError                 our bug (500)
     ├─ NumericError              the model computed no usable number
     └─ PoisonRequestError        engines died of this request

`code` is the string clients see in `error.code`; it also names the class on the wire.
HTTP status codes are not known here: `pyserve.web.request.errors` maps classes to them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An error as data, sent over sockets and to clients.

    `details` holds numbers only (token counts, limits, retry_after_s), never prompts.
    """

    code: str
    message: str
    param: str | None = None
    details: dict[str, Any] = {}


class PyserveError(Exception):
    """Base of all errors that pyserve raises on purpose."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = details

    def to_info(self) -> ErrorInfo:
        return ErrorInfo(
            code=self.code, message=self.message, param=self.param, details=self.details
        )


class InvalidRequestError(PyserveError):
    """The request is malformed or asks for something impossible."""

    code = "invalid_value"


class ContextLengthExceededError(InvalidRequestError):
    """The prompt does not fit the context. details: n_prompt_tokens, n_ctx."""

    code = "context_length_exceeded"


class UnauthorizedError(InvalidRequestError):
    """The server has API keys, and the request has none of them."""

    code = "invalid_api_key"


class PermissionDeniedError(InvalidRequestError):
    """The key, host or origin of the request does not allow this."""

    code = "permission_denied"


class NotFoundError(PyserveError):
    """What is asked for is not there, or another tenant's."""

    code = "not_found"


class RateLimitError(PyserveError):
    """The API key has used up its limit for now. details: retry_after_s."""

    code = "rate_limit_exceeded"


class InsufficientQuotaError(RateLimitError):
    """The same for the tokens of a day."""

    code = "insufficient_quota"


class ModelNotFoundError(PyserveError):
    """No model of that name, and not exactly one model to use instead."""

    code = "model_not_found"


class ModelLoadError(PyserveError):
    """The model file is missing, damaged or not supported."""

    code = "model_load_failed"


class ModelNotLoadedError(InvalidRequestError):
    """The model is not loaded, and what was asked loads none."""

    code = "model_not_loaded"

    @classmethod
    def of(cls, model_id: str) -> ModelNotLoadedError:
        message = f"the model {model_id} is not loaded, and looking at it does not load it: "
        return cls(f"{message}ask with autoload=true, or POST /models/load", param="model")


class UnavailableError(PyserveError):
    """The server cannot serve this now. details: retry_after_s."""

    code = "unavailable"


class ModelLoadingError(UnavailableError):
    """The model is still being loaded."""

    code = "model_loading"


class ModelBusyError(UnavailableError):
    """The model is unloaded only when its running requests have ended."""

    code = "model_busy"


class QueueFullError(UnavailableError):
    """The engine's wait queue is full."""

    code = "queue_full"


class DeadlineExceededError(UnavailableError):
    """The request still waited at its deadline. details: waited_ms, deadline_ms."""

    code = "deadline_exceeded"


class EngineRestartedError(UnavailableError):
    """The engine process ended while it worked on the request."""

    code = "engine_restarted"


class NotSupportedError(PyserveError):
    """Another server of this API does it; this one does not."""

    code = "not_supported"


class CancelledError(PyserveError):
    """The request was cancelled before it finished."""

    code = "cancelled"


class InternalError(PyserveError):
    """A defect of pyserve or of the engine."""

    code = "internal_error"


class NumericError(InternalError):
    """The model gave NaN, infinity or no allowed token; only this request is affected."""

    code = "numeric_error"


class PoisonRequestError(InternalError):
    """This request crashed the engine more than once."""

    code = "engine_error"


_BY_CODE: dict[str, type[PyserveError]] = {
    cls.code: cls
    for cls in (
        InvalidRequestError,
        ContextLengthExceededError,
        UnauthorizedError,
        PermissionDeniedError,
        RateLimitError,
        ModelNotFoundError,
        NotFoundError,
        ModelLoadError,
        UnavailableError,
        ModelLoadingError,
        ModelBusyError,
        QueueFullError,
        DeadlineExceededError,
        EngineRestartedError,
        NotSupportedError,
        CancelledError,
        InternalError,
        NumericError,
        PoisonRequestError,
    )
}


def is_known(code: str) -> bool:
    """Whether `from_info` has a class for it."""
    return code in _BY_CODE


def from_info(info: ErrorInfo) -> PyserveError:
    """Rebuild the exception that `info` describes; an unknown code is an InternalError."""
    cls = _BY_CODE.get(info.code, InternalError)
    return cls(info.message, param=info.param, **info.details)
