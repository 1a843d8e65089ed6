"""`context_management` and `compaction_trigger` of responses; chats that are summarized."""

from __future__ import annotations

import json

import pytest

from pyserve.engine.fake.script import FakeScript
from pyserve.models.profile import ModelProfile
from pyserve.openai.chat.compaction import SUMMARY_HEAD, TASK
from pyserve.openai.responses.opaque import sealed
from tests.support.front import CHAT, RESPONSES, error_of

HEADER = "X-Compacted-Messages"
COMPACT = [{"type": "compaction", "compact_threshold": 1000}]
TRIGGER = {"type": "compaction_trigger"}
LONG = "word " * 150
SYSTEM = {"role": "system", "content": "Be kind."}
TALK = [
    SYSTEM,
    *({"role": role, "content": f"{n} {LONG}"} for n in range(4) for role in ("user", "assistant")),
    {"role": "user", "content": "And now?"},
]
TEMPLATE = "{% if tools %}<tool_call>{% endif %}"
SAID = "Four long things were said."


@pytest.fixture
def front(start):
    return start(FakeScript(texts=(SAID,)), engine={"n_ctx": 8192})


def ask(front, path=RESPONSES, **fields):
    response = front.post(path, fields)
    assert response.status_code == 200, response.text
    return response


def turns(front, index=-1):
    return [(turn["role"], turn["content"]) for turn in front.core.requests[index].messages]


def events(response):
    data = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def test_a_conversation_that_is_short_enough_stays_as_it_is(front):
    response = ask(front, input=TALK[-2:], context_management=COMPACT)
    assert [item["type"] for item in response.get_json()["output"]] == ["message"]
    assert response.headers[HEADER] == "0"
    assert len(front.core.requests) == 1


def test_the_older_part_becomes_the_first_item(front):
    response = ask(front, input=TALK, instructions="Be brief.", context_management=COMPACT)
    body = response.get_json()
    compaction, message = body["output"]
    assert (compaction["type"], compaction["id"][:4]) == ("compaction", "cmp_")
    assert message["type"] == "message"
    summary, answer = front.core.requests
    assert summary.sampling.temperature == 0
    assert turns(front, 0)[-1] == ("user", TASK)
    n_old = len(TALK) - 1 - (len(answer.messages) - 3)
    assert int(response.headers[HEADER]) == n_old > 0
    head = [("system", "Be brief."), ("system", "Be kind."), ("user", SUMMARY_HEAD + SAID)]
    assert turns(front)[:3] == head
    assert turns(front)[3:] == [(one["role"], one["content"]) for one in TALK[n_old + 1 :]]
    usage = body["usage"]
    assert usage["output_tokens"] == 2 * len(SAID.split())
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_stream_has_the_item_before_the_answer(front):
    response = ask(front, input=TALK, context_management=COMPACT, stream=True)
    told = events(response)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    items = [event for event in told if event["type"].startswith("response.output_item")]
    assert [(event["output_index"], event["item"]["type"]) for event in items] == [
        (0, "compaction"),
        (0, "compaction"),
        (1, "message"),
        (1, "message"),
    ]
    assert told[-1]["type"] == "response.completed"
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["compaction", "message"]
    deltas = [event for event in told if event["type"] == "response.output_text.delta"]
    assert {event["output_index"] for event in deltas} == {1}


@pytest.mark.parametrize(
    "is_whole", [True, False], ids=["all items", "those that it replaces left"]
)
def test_the_item_stands_for_all_before_it(front, is_whole):
    body = ask(front, input=TALK, instructions="Be brief.", context_management=COMPACT).get_json()
    begun = turns(front)
    items = [*TALK, *body["output"]] if is_whole else body["output"]
    response = ask(front, input=[*items, {"role": "user", "content": "Go on"}])
    assert "X-Ignored-Items" not in response.headers
    assert turns(front) == [*begun[1:], ("assistant", SAID), ("user", "Go on")]


def test_a_stored_conversation_goes_on_from_the_item(front):
    first = ask(front, input=TALK, context_management=COMPACT).get_json()
    begun = turns(front)
    ask(front, input="Go on", previous_response_id=first["id"])
    assert turns(front) == [*begun, ("assistant", SAID), ("user", "Go on")]


def test_a_trigger_is_answered_by_the_item_alone(front):
    for stream in (False, True):
        response = ask(front, input=[*TALK[:5], TRIGGER], stream=stream)
        body = events(response)[-1]["response"] if stream else response.get_json()
        (item,) = body["output"]
        assert (item["type"], body["status"]) == ("compaction", "completed")
        assert body["usage"]["output_tokens"] == len(SAID.split())
    assert len(front.core.requests) == 2
    ask(front, input=[item, {"role": "user", "content": "Go on"}])
    last = ("user", TALK[3]["content"])
    assert turns(front) == [
        ("system", "Be kind."),
        ("user", SUMMARY_HEAD + SAID),
        last,
        ("user", "Go on"),
    ]


def test_a_call_stays_with_its_results(start):
    front = start(FakeScript(texts=(SAID,)), engine={"n_ctx": 8192}, chat_template=TEMPLATE)
    calls = [
        item
        for n in range(8)
        for item in (
            {"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": f"c{n}", "output": f"{n} {LONG}"},
        )
    ]
    ask(front, input=[{"role": "user", "content": "Do it"}, *calls], context_management=COMPACT)
    messages = front.core.requests[-1].messages
    assert messages[1] == {"role": "user", "content": "Do it"}
    called = [call["id"] for one in messages for call in one.get("tool_calls", [])]
    assert called == [one["tool_call_id"] for one in messages if one["role"] == "tool"]
    assert 0 < len(called) < 8


def test_what_is_too_long_for_one_summary_is_folded(start):
    front = start(FakeScript(texts=(SAID,)), engine={"n_ctx": 600})
    response = ask(front, input=TALK, context_management=COMPACT)
    *summaries, _answer = front.core.requests
    assert len(summaries) > 1
    assert turns(front, 1)[1] == ("user", SUMMARY_HEAD + SAID)
    assert response.get_json()["output"][0]["type"] == "compaction"


def test_a_chat_is_answered_from_a_summary(front):
    wish = {"type": "compact", "threshold": 1000}
    response = ask(front, CHAT, messages=TALK, truncation=wish)
    assert int(response.headers[HEADER]) > 0
    assert turns(front)[:2] == [("system", "Be kind."), ("user", SUMMARY_HEAD + SAID)]
    body = response.get_json()
    assert body["usage"]["completion_tokens"] == 2 * len(SAID.split())
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    streamed = ask(front, CHAT, messages=TALK, truncation=wish, **usage)
    assert events(streamed)[-1]["usage"] == body["usage"]


def test_a_chat_without_a_threshold_is_summarized_when_it_does_not_fit(start):
    wish = {"type": "compact"}
    wide = start(FakeScript(texts=(SAID,)), engine={"n_ctx": 8192})
    assert ask(wide, CHAT, messages=TALK, truncation=wish).headers[HEADER] == "0"
    narrow = start(FakeScript(texts=(SAID,)), engine={"n_ctx": 600})
    assert int(ask(narrow, CHAT, messages=TALK, truncation=wish).headers[HEADER]) > 0


RATIO = {"type": "compact", "ratio": 0.125, "tail_tokens": 0, "max_summary_tokens": 7}


def test_a_chat_says_what_stays_and_how_long_its_summary_is(front):
    """8,192 tokens, of which an eighth is 1,024."""
    ask(front, CHAT, messages=TALK, truncation=RATIO)
    assert turns(front) == [
        ("system", "Be kind."),
        ("user", SUMMARY_HEAD + " ".join(SAID.split()[:7])),
        ("user", "And now?"),
    ]
    assert front.core.requests[0].max_tokens == 7
    assert ask(front, CHAT, messages=TALK[:4], truncation=RATIO).headers[HEADER] == "0"


def test_a_configuration_has_chats_summarized_that_say_nothing_else(start):
    """As LocalAI's `compression`; what is too long even then loses its oldest turns, or is told."""

    def front(overflow, n_ctx=8192):
        defaults = {"truncation": {**RATIO, "overflow": overflow}}
        profiles = {"tiny": ModelProfile(defaults=defaults)}
        return start(FakeScript(texts=(SAID,)), engine={"n_ctx": n_ctx}, profiles=profiles)

    wide = front("auto")
    for stream in (False, True):
        assert int(ask(wide, CHAT, messages=TALK, stream=stream).headers[HEADER]) == 8
    assert HEADER not in ask(wide, CHAT, messages=TALK, truncation="disabled").headers
    assert ask(wide, input=TALK).get_json()["truncation"] == "disabled"
    few = [{"role": role, "content": "one two three"} for role in ("user", "assistant")]
    body = {"messages": [*few, {"role": "user", "content": "word " * 160}]}
    dropping = front("auto", 170)
    assert dropping.post(CHAT, body).headers["X-Dropped-Messages"] == "1"
    assert len(dropping.core.requests) == 2  # its summary, which is what is left out
    error = error_of(front("disabled", 170).post(CHAT, body))
    assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ratio", 0),
        ("ratio", 1.5),
        ("tail_tokens", -1),
        ("max_summary_tokens", 0),
        ("overflow", "other"),
        ("threshold", 1),
    ],
)
def test_wishes_for_summaries_have_bounds(front, field, value):
    wish = {"type": "compact", field: value}
    response = front.post(CHAT, {"messages": TALK, "truncation": wish})
    assert error_of(response)["param"] == f"truncation.{field}"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": [TRIGGER]}, "input.0", "invalid_value"),
        ({"input": [TRIGGER, TALK[1]]}, "input.0", "invalid_value"),
        (
            {"input": "x", "context_management": [{"type": "compaction", "compact_threshold": 9}]},
            "context_management.0.compact_threshold",
            "invalid_value",
        ),
        (
            {"input": "x", "context_management": [{"type": "clear"}]},
            "context_management.0.type",
            "invalid_value",
        ),
    ],
)
def test_what_cannot_be_is_refused(front, body, param, code):
    response = front.post(RESPONSES, body)
    error = error_of(response)
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)


@pytest.mark.parametrize("text", ["", "[]", "{}", '[{"role":"boss","content":"x"}]', "[" * 9000])
def test_an_item_that_nobody_made_is_left_out_and_counted(front, text):
    item = {"type": "compaction", "encrypted_content": sealed("compacted", text)}
    response = ask(front, input=[TALK[1], item, TALK[-1]])
    assert response.headers["X-Ignored-Items"] == "compaction; n=1"
    assert [role for role, _ in turns(front)] == ["user", "user"]


def test_tokens_of_the_summary_are_the_keys(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[[keys]]\nkey = "sk-of-one"\nname = "a"\ntokens_per_day = 100000\n')
    front = start(FakeScript(texts=(SAID,)), engine={"n_ctx": 8192}, api_key_file=str(keys))
    headers = {"Authorization": "Bearer sk-of-one"}
    body = {"input": TALK, "context_management": COMPACT}
    response = front.post(RESPONSES, body, headers=headers)
    used = response.get_json()["usage"]["total_tokens"]
    left = front.post(RESPONSES, {"input": "x"}, headers=headers).headers
    assert 100000 - int(left["x-ratelimit-remaining-tokens"]) >= used - 100  # it refills
