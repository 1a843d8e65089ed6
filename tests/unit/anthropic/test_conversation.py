from __future__ import annotations

from typing import Any

import pytest

from pyserve.anthropic.conversation import template_messages
from pyserve.errors import InvalidRequestError
from pyserve.schemas.anthropic.messages import CountTokensRequest
from pyserve.schemas.validate import validate

HI = {"role": "user", "content": "hi"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "ü"}}
USE_2 = {**USE, "id": "toolu_2"}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a": "ü"}'}}
BILLING = "x-anthropic-billing-header: cc_version=2.1.7.a1b; cc_entrypoint=cli; cch={};"


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **fields}


def result(call_id: str, content: Any = "r", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def document(source: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **fields}


def found(content: Any, source: str = "https://a/b", title: str = "T") -> dict[str, Any]:
    return {"type": "search_result", "source": source, "title": title, "content": content}


PLAIN = {"type": "text", "media_type": "text/plain", "data": "a\n<b>"}
PLAIN_SHOWN = "<document>\n<content>\na\n<b>\n</content>\n</document>"
FOUND_SHOWN = (
    "<search_result>\n<source>https://a/b</source>\n<title>T</title>\n<content>\na\nb\n</content>"
    "\n</search_result>"
)


def tool(call_id: str, content: str = "r") -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def answer(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def turns_of(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return template_messages(validate(CountTokensRequest, {"messages": list(messages), **fields}))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user(text("a"), text("b", cache_control={"type": "ephemeral"}))], ["a\nb"]),
        ([HI, user(text("b"))], ["hi\nb"]),
        ([HI, answer(text("a"), text("b")), HI], ["hi", "ab", "hi"]),
        ([HI, answer(), HI], None),
        ([HI, {"role": "system", "content": "now"}, HI], ["hi", "now", "hi"]),
        ([HI, answer({"type": "redacted_thinking", "data": "x"}, text("a"))], ["hi", "a"]),
        ([user(text(""))], [""]),
    ],
)
def test_blocks_become_text(messages, expected):
    if expected is None:
        with pytest.raises(InvalidRequestError) as caught:
            turns_of(*messages)
        assert caught.value.param == "messages.1.content"
    else:
        assert [turn["content"] for turn in turns_of(*messages)] == expected


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Be kind", "Be kind"),
        ([text("Be"), text("kind")], "Be\nkind"),
        ([text(BILLING.format("a5145")), text("Be kind")], "Be kind"),
        ([text(BILLING.format("00000") + "\nBe kind")], "Be kind"),
        ([text(f"Be kind. {BILLING}")], f"Be kind. {BILLING}"),
        ([text(BILLING.format("1"))], None),
        ("", None),
    ],
)
def test_the_system_prompt_has_no_header_for_the_bill(system, expected):
    first, *rest = turns_of(HI, system=system)
    if expected is None:
        assert first == HI
    else:
        assert (first["role"], first["content"], rest) == ("system", expected, [HI])


def test_calls_are_followed_by_their_results_and_these_by_the_text():
    turns = turns_of(
        HI,
        answer(text("I look."), USE, USE_2),
        user(text("and"), result("toolu_2", [text("a"), text("b")])),
        user(result("toolu_1", None), text("now")),
    )
    assert turns[1]["tool_calls"][0] == CALL
    assert turns[2:] == [
        tool("toolu_2", "a\nb"),
        tool("toolu_1", ""),
        {"role": "user", "content": "and\nnow", "parts": ["and", "now"]},
    ]


@pytest.mark.parametrize(
    ("content", "shown"),
    [("gone", "Error: gone"), ("Error: gone", "Error: gone"), (None, "Error: ")],
)
def test_a_result_says_that_it_is_an_error(content, shown):
    *_, last = turns_of(HI, answer(USE), user(result("toolu_1", content, is_error=True)))
    assert last == tool("toolu_1", shown)


def test_documents_and_search_results_are_their_texts():
    about = {"title": "T", "context": "C", "citations": {"enabled": True}}
    blocks = {"type": "content", "content": [text("a"), text("b")]}
    (turn,) = turns_of(user(text("Look:"), document(PLAIN), document(blocks, **about)))
    assert turn["content"] == (
        f"Look:\n{PLAIN_SHOWN}\n<document>\n<title>T</title>\n<context>C</context>\n<content>\n"
        "a\nb\n</content>\n</document>"
    )
    parts = [found([text("a"), text("b")]), document(PLAIN)]
    *_, last, _ = turns_of(HI, answer(USE), user(result("toolu_1", parts), text("x")))
    assert last == tool("toolu_1", f"{FOUND_SHOWN}\n{PLAIN_SHOWN}")
    (turn,) = turns_of(user(found([text("a"), text("b")])))
    assert turn["content"] == FOUND_SHOWN


def test_texts_of_documents_count_as_texts():
    large = document({**PLAIN, "data": "x" * (2 << 20)})
    with pytest.raises(InvalidRequestError) as caught:
        turns_of(user(large))
    assert caught.value.param == "messages"


def test_thoughts_go_before_the_text_whoever_signed_them():
    thoughts = {"type": "thinking", "thinking": "Hm", "signature": "of another server"}
    sealed = {"type": "thinking", "thinking": "", "signature": "of another server"}
    _, turn, _ = turns_of(HI, answer(thoughts, text("a")), HI)
    assert (turn["reasoning_content"], turn["content"]) == ("Hm", "a")
    _, turn, _ = turns_of(HI, answer(sealed, text("a")), HI)
    assert "reasoning_content" not in turn


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([HI, answer(USE)], "messages.1.content.0"),
        ([HI, answer(text("a"), USE), HI, answer(text("b")), HI], "messages.1.content.1"),
        ([HI, answer(USE, USE_2), user(result("toolu_2"))], "messages.1.content.0"),
        ([user(result("toolu_1"))], "messages.0.content.0.tool_use_id"),
        (
            [HI, answer(USE), user(result("toolu_1"), result("toolu_1"))],
            "messages.2.content.1.tool_use_id",
        ),
        ([user(USE)], "messages.0.content.0"),
        ([HI, answer(result("toolu_1"))], "messages.1.content.0"),
        ([user(text("a"), {"type": "image", "source": {}})], "messages.0.content.1"),
        ([user({"type": "document"})], "messages.0.content.0.source"),
        ([user(document({"type": "base64", "data": "x"}))], "messages.0.content.0.source"),
        ([user(document({"type": "url", "url": "x"}))], "messages.0.content.0.source"),
        ([user(document({"type": "file", "file_id": "x"}))], "messages.0.content.0.source"),
        ([user(document("x"))], "messages.0.content.0.source"),
        (
            [user(document({"type": "text", "media_type": "application/pdf", "data": "x"}))],
            "messages.0.content.0.source.media_type",
        ),
        (
            [user(document({"type": "content", "content": [{"type": "image"}]}))],
            "messages.0.content.0.source.content.0",
        ),
        ([user(found([]))], "messages.0.content.0.content"),
        ([user({**found([text("a")]), "source": None})], "messages.0.content.0.source"),
        ([HI, answer(document(PLAIN))], "messages.1.content.0"),
        (
            [HI, answer(USE), user(result("toolu_1", [{"type": "image"}]))],
            "messages.2.content.0.content.0",
        ),
        ([answer(text("a"))], "messages"),
        ([], "messages"),
    ],
)
def test_what_is_no_conversation_is_refused_by_its_place(messages, param):
    with pytest.raises(InvalidRequestError) as caught:
        turns_of(*messages)
    assert caught.value.param == param
