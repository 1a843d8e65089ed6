"""SSE frames that differ in one text: compiled if the extension is built, else in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pyserve.web.answer import frame_template_py

__all__ = ["FrameTemplate", "MakeTemplate", "Template", "is_compiled"]


class Template(Protocol):
    """A frame's bytes before and after the text. Immutable; any thread."""

    def fill(self, text: str) -> bytes:
        """Head, `text` as a JSON string, tail. Raises UnicodeEncodeError if it has no UTF-8."""
        ...


MakeTemplate = Callable[[bytes, bytes], Template]  # of head and tail

FrameTemplate: MakeTemplate
try:
    from pyserve.web.answer import _frame_template
except ImportError:  # built without the extension
    FrameTemplate = frame_template_py.FrameTemplate
    is_compiled = False
else:
    FrameTemplate = _frame_template.FrameTemplate
    is_compiled = True
