"""Error responses of the OpenAPI document: one shape for all operations of an API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyserve.openai.document.schemas import reference
from pyserve.openai.server.error_shape import OPENAI, ErrorShape

# Status to the name of the response, what it means, and an example.
ERRORS: Mapping[int, tuple[str, str, dict[str, Any]]] = {
    400: (
        "BadRequest",
        "The request is wrong; `param` names the field.",
        {
            "message": "temperature: Input should be less than or equal to 2, but is 3",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "invalid_value",
        },
    ),
    401: (
        "Unauthorized",
        "The request has no valid API key, and the server requires one.",
        {
            "message": "the API key is not valid",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        },
    ),
    403: (
        "Forbidden",
        "The key, Host or Origin does not allow this.",
        {
            "message": "the host 'example.com' is not a name of this server",
            "type": "permission_error",
            "param": None,
            "code": "host_not_allowed",
        },
    ),
    429: (
        "RateLimited",
        "The API key has used up its limit; try again after the seconds in `Retry-After`.",
        {
            "message": "this API key has used its 60 requests per minute",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        },
    ),
    404: (
        "NotFound",
        "There is no such model, or nothing of this id.",
        {
            "message": "model 'x' not found; served are: smollm2-135m-instruct",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        },
    ),
    413: (
        "TooLarge",
        "The body is too large.",
        {
            "message": "the body is larger than 8388608 bytes",
            "type": "invalid_request_error",
            "param": None,
            "code": "request_too_large",
        },
    ),
    415: (
        "UnsupportedMediaType",
        "The body is not `application/json`.",
        {
            "message": "Content-Type is text/plain, but must be application/json",
            "type": "invalid_request_error",
            "param": None,
            "code": "unsupported_media_type",
        },
    ),
    503: (
        "Unavailable",
        "Try again after the seconds in `Retry-After`.",
        {
            "message": "the model is being loaded",
            "type": "unavailable_error",
            "param": None,
            "code": "model_loading",
        },
    ),
    501: (
        "NotBuilt",
        "This server does not have it.",
        {
            "message": "this server does not create models",
            "type": "server_error",
            "param": None,
            "code": "not_supported",
        },
    ),
    500: (
        "InternalError",
        "An internal error; the server's log has it under the id in `X-Request-Id`.",
        {
            "message": "internal error; the log has it under request id req_0123",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        },
    ),
}


REQUEST_ID = "req_0123"  # of the examples


def error_reference(status: int, shape: ErrorShape = OPENAI) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{shape.name}{ERRORS[status][0]}"}


def shown_status(status: int, shape: ErrorShape) -> int:
    """The status in place of OpenAI's `status`."""
    return shape.tell(status, ERRORS[status][2], REQUEST_ID)[0]


def error_responses(shapes: Iterable[ErrorShape]) -> dict[str, Any]:
    """The named responses that `error_reference` refers to."""
    return {
        f"{shape.name}{name}": {
            "description": meaning,
            "content": {
                "application/json": {
                    "schema": reference(shape.body.__name__),
                    "example": shape.tell(status, example, REQUEST_ID)[1],
                }
            },
        }
        for shape in shapes
        for status, (name, meaning, example) in ERRORS.items()
    }
