"""Server-sent events: frames, the keep-alive comment, the error event, the end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import msgspec
from flask import Response

from pyserve.engine.protocol import Delta
from pyserve.openai.answer import StreamAnswer, TypedStreamAnswer
from pyserve.openai.reports import PromptProgress
from pyserve.process.json_line import ends_lines, json_line
from pyserve.web.answer.frame_template import FrameTemplate, MakeTemplate, Template
from pyserve.web.request.errors import describe

KEEP_ALIVE_S = 10.0
NOTICE_S = 1.0  # a queued request tells its place at most so often
KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
MARK = secrets.token_hex(16)  # stands for the text while a template is made
# A sentence about where a request is, "" if nothing is known; and whether it is queued.
Where = Callable[[], tuple[str, bool]]
Tell = Callable[[PromptProgress], Iterable[msgspec.Struct]]
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def frame(content: Any) -> bytes:
    """One event."""
    return b"data: " + json_line(content) + b"\n\n"


def typed_frame(event: Any) -> bytes:
    """One event that is named after its `type`."""
    return f"event: {event.type}\n".encode() + frame(event)


def typed_frames(events: Iterable[Any]) -> bytes:
    return b"".join(typed_frame(event) for event in events)


def nowhere() -> tuple[str, bool]:
    """Nothing is known."""
    return "", False


class Failure(NamedTuple):
    """What ended a stream. status: that of a response. error: the OpenAI error object."""

    status: int
    error: dict[str, Any]
    request_id: str


def failure_of(error: Exception, request_id: str) -> Failure:
    """Unexpected errors are logged and not shown."""
    status, body = describe(error, request_id)
    return Failure(status, body["error"], request_id)


class DataFrames:
    """How a stream is written: unnamed events, then `[DONE]`, or the error object. One thread.

    says_where: its silence says where the request is.
    """

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    end: ClassVar[bytes] = DONE
    says_where: ClassVar[bool] = True

    def __init__(self, answer: StreamAnswer, make_template: MakeTemplate = FrameTemplate) -> None:
        self._answer = answer
        self._make_template = make_template
        self._templates: dict[int, Template | None] = {}

    def push(self, index: int, delta: Delta) -> bytes:
        """What `delta` added to request `index`. Most deltas are text alone: a filled template."""
        return self.plain(index, delta) or self.chunks(self._answer.push(index, delta))

    def plain(self, index: int, delta: Delta) -> bytes | None:
        """The frame of a delta that is text alone, which changes nothing; None: it is more."""
        if not delta.text or delta.finish is not None or delta.logprobs or delta.prompt_logprobs:
            return None
        if ends_lines(delta.text):
            return None
        if index not in self._templates:
            self._templates[index] = self._template(index)
        template = self._templates[index]
        return None if template is None else template.fill(delta.text)

    def chunks(self, contents: Iterable[Any]) -> bytes:
        return b"".join(frame(content) for content in contents)

    def opening(self, n_prompt_tokens: int) -> bytes:
        """What precedes all output. n_prompt_tokens: of all prompts."""
        return self.chunks(self._answer.open(n_prompt_tokens))

    @classmethod
    def silence(cls, said: str = "") -> bytes:
        """What is said when nothing else was for a while. said: where the request is, if known."""
        return f": {said}\n\n".encode() if said else KEEP_ALIVE

    @classmethod
    def refusal(cls, failure: Failure) -> bytes:
        """All of a stream that failed before its answer began."""
        return frame({"error": failure.error})

    def failure(self, failure: Failure) -> bytes:
        """What ends a stream that broke off."""
        return self.refusal(failure)

    def _template(self, index: int) -> Template | None:
        """The frame of a text of request `index`, cut where the text is."""
        chunk = self._answer.text_chunk(index, MARK)
        if chunk is None:
            return None
        head, _, tail = self.chunks([chunk]).partition(msgspec.json.encode(MARK))
        return self._make_template(head, tail)


class TypedFrames(DataFrames):
    """Named events; the last ones, of success as of failure, are the answer's own."""

    end = b""

    def __init__(self, answer: TypedStreamAnswer) -> None:
        super().__init__(answer)
        self._fail = answer.fail

    def chunks(self, contents: Iterable[Any]) -> bytes:
        return typed_frames(contents)

    def failure(self, failure: Failure) -> bytes:
        return self.chunks(self._fail(failure.error)) + self.end


class Bypass:
    """Another way for plain frames than through the stream's own thread: here there is none.

    sent_at: when a frame went that way. Thread: the stream's own.
    """

    sent_at = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether a part of what went that way is left to be written, by `close`."""
        return False

    def open(self, plain: Callable[[int, Delta], bytes | None]) -> None:
        """All that was made so far is written: what `plain` makes may follow the other way."""

    def close(self) -> None:
        """Nothing goes that way any more; what did is written. Raises ClientGoneError."""

    def stop(self) -> None:
        """The same at the end, whatever became of the client."""


def event_frames(
    deltas: Iterable[tuple[int, Delta] | PromptProgress | None],
    answer: StreamAnswer,
    request_id: str,
    frames: DataFrames | None = None,
    *,
    n_prompt_tokens: int = 0,
    keep_alive_s: float = KEEP_ALIVE_S,
    where: Where = nowhere,
    tell: Tell | None = None,
    bypass: Bypass | None = None,
) -> Iterator[bytes]:
    """The bytes of a streamed answer. Errors become an event, after which nothing follows.

    deltas: with the index of their request; a None is a chance to say that we are still there,
    which is done after `keep_alive_s` without anything else, and by a queued request when its place
    is another one. A progress is made chunks of by `tell`.
    frames: how they are written; None is DataFrames. where: where the request is.
    bypass: may write plain frames to the client meanwhile. Needs no Flask context.
    """
    frames = frames or DataFrames(answer)
    bypass = bypass or Bypass()
    try:
        opening = frames.opening(n_prompt_tokens)
        if opening:
            yield opening
        sent_at = time.monotonic()
        said = ""
        for item in deltas:
            if item is not None:
                bypass.close()
            elif bypass.is_behind:
                bypass.close()
                bypass.open(frames.plain)
            if isinstance(item, PromptProgress):
                data = frames.chunks(tell(item)) if tell is not None else b""
            else:
                data = b"" if item is None else frames.push(*item)
            silent_s = time.monotonic() - max(sent_at, bypass.sent_at)
            if not data and silent_s >= min(keep_alive_s, NOTICE_S):
                sentence, is_queued = where()
                is_news = is_queued and frames.says_where and sentence != said
                if silent_s >= keep_alive_s or is_news:
                    said = sentence
                    bypass.close()
                    data = frames.silence(said)
            if data:
                yield data  # it is written when this goes on
                sent_at = time.monotonic()
                bypass.open(frames.plain)
        bypass.close()
        yield frames.chunks(answer.close()) + frames.end
    except Exception as error:
        bypass.close()
        yield frames.failure(failure_of(error, request_id))
    finally:
        bypass.stop()


def event_reply(
    events: Iterator[bytes], close: Callable[[], None], content_type: str = DataFrames.content_type
) -> Response:
    """A streaming response; `close` is called when it ends, however it ends, maybe twice."""
    response = Response(_until_end(events, close), content_type=content_type, headers=HEADERS)
    response.call_on_close(close)  # a generator that never started does not reach its `finally`
    return response


def _until_end(events: Iterator[bytes], close: Callable[[], None]) -> Iterator[bytes]:
    try:
        yield from events
    finally:
        close()
