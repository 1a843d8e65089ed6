"""Tools that cannot be offered to a model: those that others run, or define without a schema."""

from __future__ import annotations

from pyserve.errors import InvalidRequestError

MAX_TYPE_CHARS = 64


class UnsupportedToolError(InvalidRequestError):
    """A tool was chosen, or has to be offered, that cannot be."""

    code = "unsupported_tool"


def unsupported_tool(param: str, kind: str) -> UnsupportedToolError:
    """The error for a tool of this type at this place, where none may be left out."""
    message = f"{param}: tools of type {kind[:MAX_TYPE_CHARS]!r} are not supported"
    return UnsupportedToolError(message, param=param)
