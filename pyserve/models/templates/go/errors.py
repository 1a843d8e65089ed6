"""`TemplateError`: an error in a template, with its line."""

from __future__ import annotations

from pyserve.errors import InvalidRequestError


class TemplateError(InvalidRequestError):
    """A template cannot be read, or refuses some data.

    The message begins with the template's name and line.
    """

    def __init__(self, name: str, line: int, problem: str) -> None:
        super().__init__(f"template {name}:{line}: {problem}")
