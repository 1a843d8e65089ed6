"""The spans of requests, before they are sent."""

from __future__ import annotations

import pytest

from pyserve.web.request import traces
from pyserve.web.request.traces import Span
from tests.support.front import CHAT, COMPLETIONS, Front, chat_body

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(front) -> list[Span]:
    found: list[Span] = []
    traces.install(front.app, found.append)
    return found


def test_a_request_is_a_span_with_the_attributes_of_the_conventions(
    front: Front, spans: list[Span]
) -> None:
    body = chat_body("one two three", temperature=0.5, max_tokens=50)
    headers = {"traceparent": PARENT, "X-Request-Id": "mine"}
    usage = front.post(CHAT, body, headers=headers, buffered=True).get_json()["usage"]
    (span,) = spans
    assert (span.name, span.parent, span.error) == ("chat tiny", {"traceparent": PARENT}, None)
    assert 0 < span.begin_ns <= span.end_ns
    shown = span.attributes
    assert shown["gen_ai.operation.name"] == "chat"
    assert shown["gen_ai.response.model"] == "tiny"
    assert shown["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert shown["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert shown["gen_ai.response.finish_reasons"] == ["stop"]
    assert (shown["gen_ai.request.temperature"], shown["gen_ai.request.max_tokens"]) == (0.5, 50)
    assert (shown["pyserve.request.id"], shown["http.response.status_code"]) == ("mine", 200)
    assert not any("one two" in str(value) for value in shown.values())


def test_a_stream_is_over_when_its_client_has_it(front: Front, spans: list[Span]) -> None:
    response = front.post(CHAT, chat_body("#hold=1 0", stream=True), buffered=False)
    assert spans == []
    response.close()
    assert (spans[0].error, spans[0].attributes["error.type"]) == ("cancelled", "cancelled")


def test_refused_requests_have_their_code_and_others_no_span(
    front: Front, spans: list[Span]
) -> None:
    front.post(COMPLETIONS, {"prompt": 5}, buffered=True)
    front.client.get("/v1/models", buffered=True)
    front.post("/tokenize", {"content": "a"}, buffered=True)
    (span,) = spans
    assert (span.name, span.error) == ("text_completion", "invalid_type")
    assert span.attributes["http.response.status_code"] == 400
