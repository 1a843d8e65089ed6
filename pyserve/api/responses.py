"""POST /v1/responses, /v1/responses/compact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine, SamplingParams
from pyserve.openai.answer import Steps
from pyserve.openai.chat.compaction import SUMMARY_TOKENS
from pyserve.openai.chat.conversation import Conversation, Offer
from pyserve.openai.chat.variables import unread_variables
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.responses.compaction import (
    CompactAnswer,
    Compacted,
    kept_items,
    with_task,
)
from pyserve.openai.responses.events import EVENT_TYPES, ResponsesAnswer, Track
from pyserve.openai.responses.history import response_messages, skipped_items
from pyserve.openai.responses.objects import Response as ResponseObject
from pyserve.openai.responses.offer import tool_offer
from pyserve.openai.responses.responses import (
    new_response,
    response_conversation,
    text_constraint,
)
from pyserve.openai.token_biases import with_token_ids
from pyserve.schemas.compaction import CompactRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.web.answer.compaction import shortened
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.reports import with_reports
from pyserve.web.answer.response_frames import response_frames
from pyserve.web.answer.target import choose_target
from pyserve.web.answer.truncation import fitting
from pyserve.web.request.body import read_body
from pyserve.web.request.left_out import note_left_out
from pyserve.web.request.notes import notes
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services
from pyserve.web.stored.background import run_in_background
from pyserve.web.stored.recall import recall
from pyserve.web.stored.recording import BackgroundRecording, foreground_track
from pyserve.web.stored.replies import replay_reply

endpoint = Endpoint("responses", tag="Text", usecase="chat")


@endpoint.view(
    Operation(
        name="createResponse",
        method="post",
        path="/responses",
        summary="Answer a conversation, by the Responses API",
        details="Stored unless `store` is false. Streams are typed events with `event:` lines, and"
        " end with `data: [DONE]`. `X-Ignored-Tools` names tools that cannot be offered.",
        request=ResponseRequest,
        body=examples.RESPONSE,
        response=ResponseObject,
        example=lambda: examples.response().plain(),
        event_types=EVENT_TYPES,
        events=lambda: examples.response().streamed(),
        ends_with_done=True,
    )
)
def create(model: str | None = None) -> Response:
    recalled = recall(read_body(ResponseRequest))
    body = recalled.body
    offered = tool_offer(body, is_strict=services().config.strict_tools)
    target = choose_target(body, model)
    given, body = body, with_reports(with_defaults(body, target.profile))

    noted = notes()
    note_left_out(offered.ignored, skipped_items(body))

    track: Callable[[], Track] = partial(foreground_track, recalled)

    def answer(engine: Engine) -> Steps[ResponsesAnswer]:
        def converse(messages: list[dict[str, Any]]) -> Conversation:
            return response_conversation(engine, body, offered.offer, target.profile, messages)

        messages = response_messages(body)
        shorter = yield from shortened(engine, messages, converse, body, target, noted)
        conversation = converse(messages if shorter is None else shorter.messages)
        noted.ignored += unread_variables(given.thinking, engine.info(), target.profile)
        noted.unenforced = (*text_constraint(body).unenforced, *conversation.unenforced)
        cut = fitting(engine, conversation, body, noted)
        if cut is not None:
            conversation = msgspec.structs.replace(conversation, messages=cut.messages)
        biased = with_token_ids(body, engine)
        return ResponsesAnswer(
            biased, target.model_id, engine.info(), conversation, offered.names, track(), shorter
        )

    if body.background:
        head = new_response(body, target.model_id, SamplingParams())
        recording = BackgroundRecording(recalled, msgspec.structs.replace(head, status="queued"))
        track = recording.track
        run_in_background(target, answer, recording)
        return replay_reply(head.id) if body.stream else json_reply(recording.head)
    if body.stream:
        frames = response_frames(body, target.model_id)
        return generate_stream(
            target,
            answer,
            frames,
            ping_s=body.sse_ping_interval,
            may_begin_late=body.compacts,
        )
    return generate(target, answer)


@endpoint.view(
    Operation(
        name="compactResponse",
        method="post",
        path="/responses/compact",
        summary="Make a conversation shorter",
        details="What users and developers said stays, the rest becomes a summary by the model. The"
        " output is the `input` of a later request.",
        request=CompactRequest,
        body={"model": examples.MODEL, "input": examples.RESPONSE["input"]},
        response=Compacted,
        example=lambda: examples.compaction().plain(),
    )
)
def compact(model: str | None = None) -> Response:
    given = read_body(CompactRequest)
    recalled = recall(given.as_response(SUMMARY_TOKENS))
    kept = kept_items(recalled.items)
    target = choose_target(given, model)
    body = with_task(with_defaults(recalled.body, target.profile))
    noted = notes()
    note_left_out((), skipped_items(body))

    def answer(engine: Engine) -> CompactAnswer:
        conversation = response_conversation(engine, body, Offer(), target.profile)
        cut = fitting(engine, conversation, body, noted)
        if cut is not None:
            conversation = msgspec.structs.replace(conversation, messages=cut.messages)
        return CompactAnswer(body, engine.info(), conversation, kept)

    return generate(target, answer)
