"""Streams as Anthropic's API writes them: named events, `ping` in silence, no `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pyserve.anthropic.errors import ANTHROPIC
from pyserve.anthropic.objects import Ping
from pyserve.web.answer.sse import DataFrames, Failure, frame, typed_frame, typed_frames


class MessageFrames(DataFrames):
    """The last event is that of the answer, or `error`."""

    end: ClassVar[bytes] = b""
    says_where: ClassVar[bool] = False

    def chunks(self, contents: Iterable[Any]) -> bytes:
        return typed_frames(contents)

    @classmethod
    def silence(cls, said: str = "") -> bytes:  # noqa: ARG003
        return typed_frame(Ping())

    @classmethod
    def refusal(cls, failure: Failure) -> bytes:
        _, body = ANTHROPIC.tell(*failure)
        return b"event: error\n" + frame(body)
