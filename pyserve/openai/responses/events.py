"""Answers of POST /v1/responses: the whole response, or its stream of events.

  created, in_progress, then for each item: output_item.added, its deltas, output_item.done;
  then completed or incomplete; or error and failed

Each event has its `type` and the next `sequence_number`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import Delta, Finish, GenerateRequest, ModelInfo
from pyserve.openai.answer import Output
from pyserve.openai.chat.compaction import Compacted
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.ids import new_item_id
from pyserve.openai.logprobs import ChatTokenLogprob, chat_logprobs
from pyserve.openai.reports import AnswerTimings, answer_timings, timings_after
from pyserve.openai.responses.history import COMPACTED
from pyserve.openai.responses.items import Item, ItemStyle, ItemWriter, Step
from pyserve.openai.responses.objects import (
    CompactionItem,
    FunctionCall,
    OutputItem,
    OutputMessage,
    OutputText,
    Response,
    SummaryText,
)
from pyserve.openai.responses.offer import ToolName
from pyserve.openai.responses.opaque import sealed
from pyserve.openai.responses.responses import (
    failed_response,
    finished_response,
    new_response,
    response_request,
    text_constraint,
)
from pyserve.openai.structured.validation import SchemaViolation
from pyserve.openai.tools.arguments import call_violation
from pyserve.openai.tools.parts import AnswerStyle
from pyserve.schemas.responses import ResponseRequest


class ResponseEvent(msgspec.Struct, frozen=True):
    """The state of the whole response. timings: at its end, where they were asked for."""

    type: str
    sequence_number: int
    response: Response
    timings: AnswerTimings | UnsetType = UNSET


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
    timings: AnswerTimings | UnsetType = UNSET


class TextDone(msgspec.Struct, frozen=True):
    """All of that text."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    text: str
    content_index: int = 0
    logprobs: list[ChatTokenLogprob] | UnsetType = UNSET


class SummaryPartEvent(msgspec.Struct, frozen=True):
    """The summary of reasoning was begun or is done."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    part: SummaryText
    summary_index: int = 0


class SummaryDelta(msgspec.Struct, frozen=True):
    """More of the summary."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    delta: str
    summary_index: int = 0
    timings: AnswerTimings | UnsetType = UNSET


class SummaryDone(msgspec.Struct, frozen=True):
    """All of the summary."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    text: str
    summary_index: int = 0


class ArgumentsDelta(msgspec.Struct, frozen=True):
    """More of the arguments of a call, or of the input of a custom one."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    delta: str
    timings: AnswerTimings | UnsetType = UNSET


class ArgumentsDone(msgspec.Struct, frozen=True):
    """All arguments of a call."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    name: str
    arguments: str


class InputDone(msgspec.Struct, frozen=True):
    """The whole input of a call of a custom tool."""

    type: str
    sequence_number: int
    item_id: str
    output_index: int
    input: str


class ErrorEvent(msgspec.Struct, frozen=True):
    """What went wrong; `response.failed` follows."""

    type: str
    sequence_number: int
    code: str | None
    message: str
    param: str | None


EVENT_TYPES = (
    ResponseEvent,
    ItemEvent,
    PartEvent,
    TextDelta,
    TextDone,
    SummaryPartEvent,
    SummaryDelta,
    SummaryDone,
    ArgumentsDelta,
    ArgumentsDone,
    InputDone,
    ErrorEvent,
)


def failure(response: Response, error: Mapping[str, Any], n_before: int) -> list[msgspec.Struct]:
    """The events that end a stream by an error. n_before: the events that preceded them."""
    failed = failed_response(response, error)
    return [
        ErrorEvent("error", n_before, error["code"], error["message"], error["param"]),
        ResponseEvent("response.failed", n_before + 1, failed),
    ]


def with_timings(events: Sequence[msgspec.Struct], timings: AnswerTimings) -> list[msgspec.Struct]:
    """The events, of which the last one with more output has the times up to there."""
    told = list(events)
    for i in reversed(range(len(told))):
        if isinstance(told[i], TextDelta | SummaryDelta | ArgumentsDelta):
            told[i] = msgspec.structs.replace(told[i], timings=timings)
            break
    return told


class Track(msgspec.Struct, frozen=True):
    """What the store knows of a response before it has an answer, and wants to know at its end.

    head: the response as it was announced. n_events: those that told it. on_end: gets the response
    in its last state, before a client does.
    """

    head: Response | None = None
    n_events: int = 0
    on_end: Callable[[Response], None] = lambda _response: None

    def begun(self, response: Response) -> Response:
        """`response` under the id that was announced."""
        if self.head is None:
            return response
        return msgspec.structs.replace(response, id=self.head.id, created_at=self.head.created_at)


def compaction_item(shorter: Compacted, body: ResponseRequest) -> CompactionItem:
    """The item that stands for all items before it; `instructions` are not among them."""
    text = msgspec.json.encode(shorter.messages[bool(body.instructions) :]).decode()
    return CompactionItem(new_item_id("cmp"), sealed(COMPACTED, text))


class ResponsesAnswer:
    """Implements `TypedStreamAnswer` for a responses request: one answer, in items.

    conversation: None: the texts of the request alone. tools: by the name that the model knows.
    track: of a response that is stored. shorter: what the conversation has become, which is the
    first item; where that alone is wanted, no request follows.
    """

    prompt_param = "input"

    def __init__(
        self,
        body: ResponseRequest,
        model: str,
        info: ModelInfo,
        conversation: Conversation | None = None,
        tools: Mapping[str, ToolName] | None = None,
        track: Track | None = None,
        shorter: Compacted | None = None,
    ) -> None:
        self._body = body
        request = response_request(body, info, conversation)
        self.grammar_param = "text.format" if body.text else "tools"
        self.requests: list[GenerateRequest] = [] if body.is_compaction else [request]
        self._first = [] if shorter is None else [compaction_item(shorter, body)]
        self._before = () if shorter is None else shorter.finishes
        self._constraint = text_constraint(body)
        calls = conversation.calls if conversation is not None else None
        self._functions = calls.functions if calls is not None else ()
        several = conversation is not None and conversation.can_call_several
        self._track = track or Track()
        self._response = self._track.begun(
            new_response(body, model, request.sampling, can_call_several=several)
        )
        self._style = ItemStyle(
            conversation.style if conversation else AnswerStyle(),
            tools or {},
            is_summarized=bool(body.reasoning and body.reasoning.wanted_summary),
            is_sealed=body.shows_encrypted,
        )
        self._writer = self._new_writer()
        self._finish: Finish | None = None
        self._n_events = self._track.n_events

    def response(self, outputs: Sequence[Output]) -> Response:
        writer = self._new_writer()
        for output in outputs:
            for delta in output.deltas:
                writer.push(delta)
        finishes = [output.finish for output in outputs]
        response = self._finished(writer, finishes)
        return msgspec.structs.replace(response, timings=self._timings(finishes))

    def open(self, n_prompt_tokens: int = 0) -> list[msgspec.Struct]:  # noqa: ARG002
        events: list[msgspec.Struct] = [
            self._event(ResponseEvent, "response.created", response=self._response),
            self._event(ResponseEvent, "response.in_progress", response=self._response),
        ]
        for i, item in enumerate(self._first):
            for kind in ("response.output_item.added", "response.output_item.done"):
                events.append(self._event(ItemEvent, kind, item=item, output_index=i))
        return events

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
        timings = timings_after(delta, self._body, (), is_last=False)
        return events if timings is None else with_timings(events, timings)

    def text_chunk(self, index: int, text: str) -> None:
        """None: events are numbered."""

    def close(self) -> list[msgspec.Struct]:
        finishes = [] if self._finish is None else [self._finish]
        response = self._finished(self._writer, finishes)
        kind = f"response.{response.status}"
        told = self._timings(finishes)
        return [self._event(ResponseEvent, kind, response=response, timings=told)]

    def fail(self, error: Mapping[str, Any]) -> list[msgspec.Struct]:
        output = [*self._first, *self._writer.shown("incomplete")]
        shown = msgspec.structs.replace(self._response, output=output)
        events = failure(shown, error, self._n_events)
        self._track.on_end(failed_response(shown, error))
        return events

    def _timings(self, finishes: Sequence[Finish]) -> AnswerTimings | UnsetType:
        return answer_timings(finishes) if self._body.wants_timings else UNSET

    def _new_writer(self) -> ItemWriter:
        return ItemWriter(self._style, len(self._first))

    def _finished(self, writer: ItemWriter, finishes: Sequence[Finish]) -> Response:
        """The response at its end. finishes: that of the answer, or none of a summary alone."""
        is_whole = all(finish.reason == "stop" for finish in finishes)
        items = [*self._first, *writer.shown("completed" if is_whole else "incomplete")]
        spent = [*self._before, *finishes]
        response = finished_response(
            self._response, items, spent, writer.n_reasoning_tokens, is_whole=is_whole
        )
        if is_whole:
            violation = self._violation(items)
            response = msgspec.structs.replace(response, schema_violation=violation)
        self._track.on_end(response)
        return response

    def _violation(self, items: Sequence[OutputItem]) -> SchemaViolation | UnsetType:
        """Where a whole answer is not valid, if its grammar did not enforce all."""
        calls = [(item.name, item.arguments) for item in items if isinstance(item, FunctionCall)]
        texts = [
            part.text for item in items if isinstance(item, OutputMessage) for part in item.content
        ]
        found = call_violation(self._functions, calls)
        if found is None and texts and not calls:
            found = self._constraint.violation("".join(texts))
        return UNSET if found is None else found

    def _begin(self, item: Item) -> list[msgspec.Struct]:
        added = self._event(
            ItemEvent, "response.output_item.added", item=item.announced(), output_index=item.index
        )
        if item.is_summary:
            kind = "response.reasoning_summary_part.added"
            return [added, self._of(item, SummaryPartEvent, kind, part=SummaryText(""))]
        if item.kind != "message":
            return [added]
        kind = "response.content_part.added"
        return [added, self._of(item, PartEvent, kind, part=OutputText(""))]

    def _more(self, step: Step) -> msgspec.Struct:
        item = step.item
        if item.kind == "message":
            logprobs = chat_logprobs(step.logprobs).content
            kind = "response.output_text.delta"
            return self._of(item, TextDelta, kind, delta=step.text, logprobs=logprobs)
        cls, kind = _DELTAS["summary" if item.is_summary else item.kind]
        return self._of(item, cls, kind, delta=step.text)

    def _end(self, item: Item) -> list[msgspec.Struct]:
        is_last = item is self._writer.items[-1]
        is_cut = is_last and self._finish is not None and self._finish.reason == "length"
        done = item.shown("incomplete" if is_cut else "completed", self._writer.phase(item))
        events = self._content_end(item)  # numbered before the last one
        ended = self._event(
            ItemEvent, "response.output_item.done", item=done, output_index=item.index
        )
        return [*events, ended]

    def _content_end(self, item: Item) -> list[msgspec.Struct]:
        """The events for the end of what an item holds."""
        text = item.text
        if item.kind == "message":
            part = item.part()
            kind = "response.output_text.done"
            return [
                self._of(item, TextDone, kind, text=part.text, logprobs=part.logprobs),
                self._of(item, PartEvent, "response.content_part.done", part=part),
            ]
        if item.is_summary:
            kind = "response.reasoning_summary_part.done"
            return [
                self._of(item, SummaryDone, "response.reasoning_summary_text.done", text=text),
                self._of(item, SummaryPartEvent, kind, part=SummaryText(text)),
            ]
        if item.kind == "reasoning":
            return [self._of(item, TextDone, "response.reasoning_text.done", text=text)]
        if item.kind == "custom_tool_call":
            return [self._of(item, InputDone, "response.custom_tool_call_input.done", input=text)]
        kind = "response.function_call_arguments.done"
        return [self._of(item, ArgumentsDone, kind, name=item.tool.name, arguments=text)]

    def _of(
        self, item: Item, cls: type[msgspec.Struct], kind: str, **fields: Any
    ) -> msgspec.Struct:
        return self._event(cls, kind, item_id=item.id, output_index=item.index, **fields)

    def _event(self, cls: type[msgspec.Struct], kind: str, **fields: Any) -> msgspec.Struct:
        event = cls(type=kind, sequence_number=self._n_events, **fields)
        self._n_events += 1
        return event


_DELTAS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "summary": (SummaryDelta, "response.reasoning_summary_text.delta"),
    "reasoning": (TextDelta, "response.reasoning_text.delta"),
    "function_call": (ArgumentsDelta, "response.function_call_arguments.delta"),
    "custom_tool_call": (ArgumentsDelta, "response.custom_tool_call_input.delta"),
}
