"""What is wrong with a template, and where."""

from __future__ import annotations

from pyserve.errors import PyserveError


class TemplateError(PyserveError):
    """A template cannot be read, or fails on some data. details: line.

    The message begins with the template's name and line.
    """

    code = "template_failed"

    def __init__(self, name: str, line: int, problem: str) -> None:
        super().__init__(f"template {name}:{line}: {problem}", line=line)
