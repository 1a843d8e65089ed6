"""Answers of POST /v1/responses: the whole response, or its stream of events.

  created, in_progress, then for each item: output_item.added, its deltas, output_item.done;
  then completed, incomplete or failed

Each event has its `type` and the next `sequence_number`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Delta, Finish, GenerateRequest, ModelInfo
from pyserve.openai.answer import Output
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.logprobs import ChatTokenLogprob, chat_logprobs
from pyserve.openai.responses.items import Item, ItemWriter, Step
from pyserve.openai.responses.objects import (
    OutputItem,
    OutputText,
    Response,
    ResponseError,
)
from pyserve.openai.responses.responses import finished_response, new_response, response_request
from pyserve.openai.tools.parts import (
    AnswerStyle,
)
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
    item: OutputItem
    output_index: int


class PartEvent(msgspec.Struct, frozen=True):
    """A part of an item's content was begun or is done."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    part: OutputText
    content_index: int = 0


class TextDelta(msgspec.Struct, frozen=True):
    """More of the text of a message, which has log-probabilities, or of reasoning."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    delta: str
    content_index: int = 0
    logprobs: list[ChatTokenLogprob] | UnsetType = UNSET


class TextDone(msgspec.Struct, frozen=True):
    """All of that text."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    text: str
    content_index: int = 0
    logprobs: list[ChatTokenLogprob] | UnsetType = UNSET


class ArgumentsDelta(msgspec.Struct, frozen=True):
    """More of the arguments of a call."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(msgspec.Struct, frozen=True):
    """All arguments of a call."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    name: str
    arguments: str


class ResponsesAnswer:
    """Implements `TypedStreamAnswer` for a responses request: one answer, in items.

    conversation: None: the texts of the request alone.
    """

    prompt_param = "input"

    def __init__(
        self,
        body: ResponseRequest,
        model: str,
        info: ModelInfo,
        conversation: Conversation | None = None,
    ) -> None:
        request = response_request(body, info, conversation)
        self.grammar_param = "text.format" if body.text else "tools"
        self.requests: list[GenerateRequest] = [request]
        self._response = new_response(body, model, request)
        self._style = conversation.style if conversation else AnswerStyle()
        self._writer = ItemWriter(self._style)
        self._finish: Finish | None = None
        self._n_events = 0

    def response(self, outputs: Sequence[Output]) -> Response:
        (output,) = outputs
        writer = ItemWriter(self._style)
        for delta in output.deltas:
            writer.push(delta)
        return self._finished(writer, output.finish)

    def open(self) -> list[msgspec.Struct]:
        return [
            self._event(ResponseEvent, "response.created", response=self._response),
            self._event(ResponseEvent, "response.in_progress", response=self._response),
        ]

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:  # noqa: ARG002
        self._finish = delta.finish or self._finish
        events: list[msgspec.Struct] = []
        for step in self._writer.push(delta):
            if step.kind == "begin":
                events += self._begin(step.item)
            elif step.kind == "more":
                events.append(self._more(step))
            else:
                events += self._end(step.item)
        return events

    def text_chunk(self, index: int, text: str) -> None:
        """None: events are numbered."""

    def close(self) -> list[msgspec.Struct]:
        assert self._finish is not None
        response = self._finished(self._writer, self._finish)
        return [self._event(ResponseEvent, f"response.{response.status}", response=response)]

    def fail(self, message: str, kind: str, param: str | None) -> list[msgspec.Struct]:
        response = msgspec.structs.replace(
            self._response,
            status="failed",
            output=self._writer.shown("incomplete"),
            error=ResponseError(message, kind, param),
        )
        return [self._event(ResponseEvent, "response.failed", response=response)]

    def _finished(self, writer: ItemWriter, finish: Finish) -> Response:
        items = writer.shown("completed" if finish.reason == "stop" else "incomplete")
        return finished_response(self._response, items, finish, writer.n_reasoning_tokens)

    def _begin(self, item: Item) -> list[msgspec.Struct]:
        added = self._event(
            ItemEvent, "response.output_item.added", item=item.announced(), output_index=item.index
        )
        if item.kind != "message":
            return [added]
        kind = "response.content_part.added"
        return [added, self._of(item, PartEvent, kind, part=OutputText(""))]

    def _more(self, step: Step) -> msgspec.Struct:
        item, text = step.item, step.text
        if item.kind == "function_call":
            kind = "response.function_call_arguments.delta"
            return self._of(item, ArgumentsDelta, kind, delta=text)
        if item.kind == "reasoning":
            return self._of(item, TextDelta, "response.reasoning_text.delta", delta=text)
        logprobs = chat_logprobs(step.logprobs).content
        kind = "response.output_text.delta"
        return self._of(item, TextDelta, kind, delta=text, logprobs=logprobs)

    def _end(self, item: Item) -> list[msgspec.Struct]:
        events = []
        if item.call is not None:
            kind = "response.function_call_arguments.done"
            fields = {"name": item.call.name, "arguments": item.text}
            events.append(self._of(item, ArgumentsDone, kind, **fields))
        elif item.kind == "reasoning":
            events.append(self._of(item, TextDone, "response.reasoning_text.done", text=item.text))
        else:
            part = item.part()
            kind = "response.output_text.done"
            events += [
                self._of(item, TextDone, kind, text=part.text, logprobs=part.logprobs),
                self._of(item, PartEvent, "response.content_part.done", part=part),
            ]
        is_last = item is self._writer.items[-1]
        is_cut = is_last and self._finish is not None and self._finish.reason == "length"
        done = item.shown("incomplete" if is_cut else "completed")
        kind = "response.output_item.done"
        return [*events, self._event(ItemEvent, kind, item=done, output_index=item.index)]

    def _of(
        self, item: Item, cls: type[msgspec.Struct], kind: str, **fields: Any
    ) -> msgspec.Struct:
        return self._event(cls, kind, item_id=item.id, output_index=item.index, **fields)

    def _event(self, cls: type[msgspec.Struct], kind: str, **fields: Any) -> msgspec.Struct:
        event = cls(type=kind, sequence_number=self._n_events, **fields)
        self._n_events += 1
        return event
