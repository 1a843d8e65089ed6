"""Responses: from request to the whole answer, or to typed events.

created, in_progress, then with the first output output_item.added and content_part.added, then the
deltas; output_text.done, content_part.done, output_item.done, and completed or incomplete. A stream
that breaks off ends in failed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pyserve.engine.protocol import Delta, GenerateRequest, ModelInfo, TokenLogprob
from pyserve.openai.answer import Output
from pyserve.openai.ids import new_item_id
from pyserve.openai.logprobs import ChatTokenLogprob, chat_logprobs
from pyserve.openai.responses import (
    OutputMessage,
    OutputText,
    Response,
    ResponseError,
    finished_message,
    finished_response,
    new_response,
    output_text,
    response_request,
)
from pyserve.openai.truncation import Cut
from pyserve.schemas.responses import ResponseRequest


class ResponseEvent(msgspec.Struct, frozen=True):
    """The state of the whole response."""

    type: str
    sequence_number: int
    response: Response


class ItemEvent(msgspec.Struct, frozen=True):
    """An output item was begun or is done."""

    type: str
    sequence_number: int
    item: OutputMessage
    output_index: int = 0


class PartEvent(msgspec.Struct, frozen=True):
    """A part of an item's content was begun or is done."""

    type: str
    sequence_number: int
    item_id: str
    part: OutputText
    output_index: int = 0
    content_index: int = 0


class TextDelta(msgspec.Struct, frozen=True):
    """More of a part's text."""

    type: str
    sequence_number: int
    item_id: str
    delta: str
    logprobs: list[ChatTokenLogprob]
    output_index: int = 0
    content_index: int = 0


class TextDone(msgspec.Struct, frozen=True):
    """All of a part's text."""

    type: str
    sequence_number: int
    item_id: str
    text: str
    logprobs: list[ChatTokenLogprob]
    output_index: int = 0
    content_index: int = 0


class ResponsesAnswer:
    """Implements `TypedStreamAnswer` for a responses request: one answer, one message in it.

    cut: what is left of the conversation.
    """

    prompt_param = "input"

    def __init__(
        self, body: ResponseRequest, model: str, info: ModelInfo, cut: Cut | None = None
    ) -> None:
        request = response_request(body, info, cut)
        self.requests: list[GenerateRequest] = [request]
        self._response = new_response(body, model, request)
        self._message_id = new_item_id("msg")
        self._output = Output()
        self._n_events = 0
        self._has_begun = False

    def response(self, outputs: Sequence[Output]) -> Response:
        (output,) = outputs
        message = finished_message(self._message_id, output)
        return finished_response(self._response, message, output.finish)

    def open(self) -> list[msgspec.Struct]:
        return [
            self._event(ResponseEvent, "response.created", response=self._response),
            self._event(ResponseEvent, "response.in_progress", response=self._response),
        ]

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:  # noqa: ARG002
        self._output.push(delta)
        if not (delta.text or delta.logprobs):
            return []
        return [*self._begin(), self._text_delta(delta.text, delta.logprobs or [])]

    def text_chunk(self, index: int, text: str) -> None:
        """None: events are numbered."""

    def close(self) -> list[msgspec.Struct]:
        message = finished_message(self._message_id, self._output)
        response = finished_response(self._response, message, self._output.finish)
        (part,) = message.content
        place = {"item_id": self._message_id}
        return [
            *self._begin(),
            self._event(
                TextDone,
                "response.output_text.done",
                **place,
                text=part.text,
                logprobs=part.logprobs,
            ),
            self._event(PartEvent, "response.content_part.done", **place, part=part),
            self._event(ItemEvent, "response.output_item.done", item=message),
            self._event(ResponseEvent, f"response.{response.status}", response=response),
        ]

    def fail(self, message: str, kind: str, param: str | None) -> list[msgspec.Struct]:
        part = output_text(self._output)
        output = [OutputMessage(self._message_id, "incomplete", [part])] if self._has_begun else []
        response = msgspec.structs.replace(
            self._response,
            status="failed",
            output=output,
            error=ResponseError(message, kind, param),
        )
        return [self._event(ResponseEvent, "response.failed", response=response)]

    def _begin(self) -> list[msgspec.Struct]:
        """The events that precede the first text; none when they were given."""
        if self._has_begun:
            return []
        self._has_begun = True
        message = OutputMessage(self._message_id, "in_progress", [])
        return [
            self._event(ItemEvent, "response.output_item.added", item=message),
            self._event(
                PartEvent,
                "response.content_part.added",
                item_id=self._message_id,
                part=OutputText(""),
            ),
        ]

    def _text_delta(self, text: str, logprobs: Sequence[TokenLogprob]) -> msgspec.Struct:
        return self._event(
            TextDelta,
            "response.output_text.delta",
            item_id=self._message_id,
            delta=text,
            logprobs=chat_logprobs(logprobs).content,
        )

    def _event(self, cls: type[msgspec.Struct], kind: str, **fields: Any) -> msgspec.Struct:
        event = cls(type=kind, sequence_number=self._n_events, **fields)
        self._n_events += 1
        return event
