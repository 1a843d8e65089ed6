"""Validates parsed JSON against a schema; the first problem becomes an InvalidRequestError."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pyserve.errors import InvalidRequestError
from pyserve.schemas.common import OWN_CODES, RequestModel
from pyserve.schemas.foreign import ForeignFields

MAX_PARAM_CHARS = 200
MAX_SHOWN_CHARS = 40
_JSON_TYPES: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}

Body = TypeVar("Body", bound=RequestModel)


class InvalidTypeError(InvalidRequestError):
    """A field has the wrong type."""

    code = "invalid_type"


class MissingParameterError(InvalidRequestError):
    """A required field is absent."""

    code = "missing_required_parameter"


class UnsupportedParameterError(InvalidRequestError):
    """A field asks for a feature that is not implemented."""

    code = "unsupported_parameter"


class UnknownParameterError(InvalidRequestError):
    """A field has no effect, where the server is told to refuse such (`--strict-fields`)."""

    code = "unknown_parameter"


class UnsupportedContentError(InvalidRequestError):
    """A message has a part that is no text."""

    code = "unsupported_content"


_CLASSES = {
    cls.code: cls
    for cls in (
        InvalidRequestError,
        InvalidTypeError,
        MissingParameterError,
        UnsupportedParameterError,
        UnsupportedContentError,
    )
}


def validate(
    schema: type[Body], data: dict[str, Any], foreign: ForeignFields | None = None
) -> Body:
    """Validates `data` against `schema`. foreign: gets the fields that have no effect.

    Raises InvalidRequestError or a class of it made here. Its `param` is the path of the field,
    such as `messages.0.content`; its message has the numbers but none of the texts in `data`.
    """
    try:
        return schema.model_validate(data, context=foreign)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    message, param, code = _described(problem)
    raise _CLASSES[code](message, param=param)


def _described(problem: ErrorDetails) -> tuple[str, str | None, str]:
    """Message, path of the field and code."""
    context = problem.get("ctx") or {}
    below = (context["below"],) if "below" in context else ()
    param = context.get("param") or _path((*problem["loc"], *below))
    kind = problem["type"]
    name = param or "the body"
    if kind in OWN_CODES:
        return f"{name} {problem['msg']}", param, kind
    if kind == "missing":
        return f"{name} is required", param, MissingParameterError.code
    if kind == "model_type":
        return f"{name} must be an object{_shown(problem)}", param, InvalidTypeError.code
    cls = InvalidTypeError if kind.endswith("_type") else InvalidRequestError
    return f"{name}: {problem['msg']}{_shown(problem)}", param, cls.code


def _path(loc: tuple[int | str, ...]) -> str | None:
    """The field's path without the tags of unions."""
    parts = [str(part) for part in loc if not (isinstance(part, str) and part.startswith("<"))]
    return ".".join(parts)[:MAX_PARAM_CHARS] or None


def _shown(problem: ErrorDetails) -> str:
    """The value that was sent, if it is a number; of texts and lists only their type."""
    value, kind = problem["input"], problem["type"]
    if isinstance(value, bool | int | float):
        return f", but is {json.dumps(value)[:MAX_SHOWN_CHARS]}"
    if isinstance(value, str) and not kind.endswith("_type"):
        return f", but has {len(value)}" if kind.startswith("string_too") else ""
    names = [name for cls, name in _JSON_TYPES.items() if isinstance(value, cls)]
    return f", but is {names[0]}" if names else ""
