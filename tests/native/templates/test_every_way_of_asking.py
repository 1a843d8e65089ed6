"""Every template of the vendored archive, asked in every way: bodies in, responses out.

The models are random and the grammar is walked as they like, so only what is enforced comes back:
the schemas of the functions allow one value each, and that is what every call has to hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import Delta
from pyserve.openai.answer import Output
from pyserve.openai.chat.chat import ChatAnswer, chat_conversation
from pyserve.openai.chat.continuation import continued_tokens
from pyserve.openai.chat.conversation import Conversation
from pyserve.schemas.chat import ChatRequest
from tests.support.tiny.llama import write_tiny_llama
from tests.support.vendor_templates import controls_of, vendor_templates

TEMPLATES = vendor_templates()
pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the vendored archive is not here")

ARGUMENTS: dict[str, dict[str, Any]] = {
    "alpha": {
        "text": "He said \"hi\" & 'bye', 5 < 6\n\tC:\\dir é 日本 🎉 {x}: [1] </b>",
        "n": -3,
        "ratio": 2.5,
        "flag": True,
    },
    "beta": {
        "list": [1, "two", [3, None]],
        "nested": {"key": {"deep": 'va"lue', "number": "12"}, "off": False},
    },
    "gamma": {},
}
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
FINAL = {
    "type": "object",
    "properties": {"ok": {"const": True}},
    "required": ["ok"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "final", "schema": FINAL}}
QUESTION = {"role": "user", "content": "Question?"}
BEGUN = {"role": "assistant", "content": '{"ok'}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SHORT = {"thinking_budget_tokens": 4}
ONE = {"parallel_tool_calls": False, **SHORT}


def schema_of(value: Any) -> dict[str, Any]:
    """A schema that nothing but `value` fits."""
    if not isinstance(value, dict):
        return {"type": TYPES[type(value)], "const": value}
    return {
        "type": "object",
        "properties": {key: schema_of(inner) for key, inner in value.items()},
        "required": list(value),
        "additionalProperties": False,
    }


def tools(*, strict: bool = False, names: Sequence[str] = tuple(ARGUMENTS)) -> list[Any]:
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": "d",
                "parameters": schema_of(ARGUMENTS[name]),
                "strict": strict,
            },
        }
        for name in names
    ]


def allowed(mode: str, *names: str) -> dict[str, Any]:
    subset = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": subset}}


class Answer(NamedTuple):
    """What a response says."""

    reason: str
    text: str
    thoughts: str
    calls: list[tuple[str, str]]


class Model:
    """A model of random weights with one of the templates."""

    def __init__(self, name: str, folder: Path) -> None:
        source = TEMPLATES[name]
        controls = controls_of(source)
        path = write_tiny_llama(
            folder / "tiny.gguf", chat_template=source, n_ctx=16384, controls=controls
        )
        config = EngineConfig(model_id=name, model_path=str(path), n_ctx=16384, n_seq_max=8)
        self.controls = controls
        self.engine = LocalEngine(config)

    def conversation(self, **fields: Any) -> Conversation:
        return chat_conversation(self.engine, request_of(fields))

    def prompt(self, messages: list[Any], **fields: Any) -> str:
        made = self.conversation(messages=messages, **fields)
        return self.engine.render(made.messages, made.options)

    def answers(self, *requests: dict[str, Any]) -> list[Answer]:
        """The answers to bodies that are asked at once."""
        asked = [self._asked(request_of(fields)) for fields in requests]
        streams = [self.engine.submit(answer.requests[0]) for answer, _ in asked]
        return [read(*pair, list(stream)) for pair, stream in zip(asked, streams, strict=True)]

    def _asked(self, body: ChatRequest) -> tuple[ChatAnswer, ChatAnswer]:
        """The translation of a request, for a plain answer and for a streamed one."""
        made = chat_conversation(self.engine, body)
        tokens = None
        if body.continue_final_message:
            tokens = continued_tokens(self.engine, made.messages, made.options, made.text_begin)
        info = self.engine.info()
        plain, streamed = (ChatAnswer(body, "m", info, made, None, tokens) for _ in range(2))
        return plain, streamed


def request_of(fields: dict[str, Any]) -> ChatRequest:
    given = {"messages": [QUESTION], "temperature": 1.0, "max_tokens": 900, **fields}
    return ChatRequest.model_validate(given)


def read(plain: ChatAnswer, streamed: ChatAnswer, deltas: list[Delta]) -> Answer:
    """The answer in these deltas, which is the same as a stream."""
    output = Output()
    for delta in deltas:
        output.push(delta)
    (choice,) = as_json(plain.response([output]))["choices"]
    message = choice["message"]
    whole = Answer(
        choice["finish_reason"],
        message.get("content") or "",
        message.get("reasoning_content") or "",
        [
            (call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or []
        ],
    )
    assert from_chunks(streamed, deltas) == whole
    return whole


def from_chunks(streamed: ChatAnswer, deltas: list[Delta]) -> Answer:
    reason = text = thoughts = ""
    calls: list[list[str]] = []
    for chunk in as_json([chunk for delta in deltas for chunk in streamed.push(0, delta)]):
        (choice,) = chunk["choices"]
        reason = choice.get("finish_reason") or reason
        text += choice["delta"].get("content") or ""
        thoughts += choice["delta"].get("reasoning_content") or ""
        for call in choice["delta"].get("tool_calls") or []:
            if "id" in call:
                calls.append([call["function"]["name"], ""])
            calls[-1][1] += call["function"]["arguments"]
    return Answer(reason, text, thoughts, [(name, arguments) for name, arguments in calls])


def as_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.fixture(scope="module", params=sorted(TEMPLATES))
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Model]:
    model = Model(request.param, tmp_path_factory.mktemp("template"))
    yield model
    model.engine.close()


def check_calls(answer: Answer, names: Sequence[str] = tuple(ARGUMENTS)) -> None:
    """Calls of these functions with their arguments, and nothing beside them."""
    assert (answer.reason, answer.text) == ("tool_calls", "")
    for name, arguments in answer.calls:
        assert name in names
        assert json.loads(arguments) == ARGUMENTS[name]


def test_one_call_is_forced_in_every_form(model: Model):
    rows: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"tool_choice": "required", "tools": tools(), "seed": 1}, tuple(ARGUMENTS)),
        ({"tool_choice": "required", "tools": tools(strict=True), "seed": 2}, tuple(ARGUMENTS)),
        *(
            ({"tool_choice": named(name), "tools": tools(), "seed": 3}, (name,))
            for name in ARGUMENTS
        ),
        (
            {"tool_choice": allowed("required", "alpha", "beta"), "tools": tools(), "seed": 4},
            ("alpha", "beta"),
        ),
    ]
    answers = model.answers(*({**fields, **ONE} for fields, _ in rows))
    for answer, (_, names) in zip(answers, rows, strict=True):
        check_calls(answer, names)
        assert len(answer.calls) == 1


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def test_several_calls_hold_what_one_does(model: Model):
    fields = {"tool_choice": "required", "parallel_tool_calls": True, "max_tokens": 300, **SHORT}
    can_repeat = model.conversation(tools=tools(), **fields).can_call_several
    for answer in model.answers(
        {"tools": tools(names=["beta", "gamma"]), "seed": 1, **fields},
        {"tools": tools(names=["gamma"]), "seed": 2, **fields},
    ):
        whole = answer.calls if answer.reason == "tool_calls" else answer.calls[:-1]
        check_calls(answer._replace(calls=whole, reason="tool_calls"))
        assert len(answer.calls) == 1 or can_repeat


def test_a_format_holds_the_text_after_thoughts_and_beside_calls(model: Model):
    plain, none, thoughtless, beside = model.answers(
        {"response_format": FORMAT, "seed": 1, **SHORT},
        {"response_format": FORMAT, "seed": 1, "tools": tools(), "tool_choice": "none", **SHORT},
        {"response_format": FORMAT, "seed": 1, "reasoning_effort": "none"},
        {"response_format": FORMAT, "seed": 2, "tools": tools(), **ONE},
    )
    for answer in (plain, none, thoughtless):
        assert (answer.reason, json.loads(answer.text), answer.calls) == ("stop", {"ok": True}, [])
    assert thoughtless.thoughts == ""
    if beside.calls:
        check_calls(beside)
    else:
        assert json.loads(beside.text) == {"ok": True}


def test_every_effort_is_taken_and_budgets_hold(model: Model):
    for effort in EFFORTS:
        assert model.prompt([QUESTION], reasoning_effort=effort)
    none, spent = model.answers(
        {"reasoning_effort": "none", "max_tokens": 30, "seed": 2},
        {"thinking_budget_tokens": 0, "max_tokens": 60, "seed": 4},
    )
    assert none.thoughts == ""
    thinking = model.conversation().thinking
    if thinking is None or not thinking.is_repeated:
        assert spent.thoughts.strip() == ""


def test_an_answer_is_continued_after_its_thoughts(model: Model):
    fields = {"continue_final_message": True, "grammar": 'root ::= "\\": true}"'}
    thought = {**BEGUN, "reasoning_content": "Hm."}
    for answer in model.answers(
        {"messages": [QUESTION, BEGUN], **fields}, {"messages": [QUESTION, thought], **fields}
    ):
        assert (answer.text, answer.thoughts) == ('": true}', "")


@pytest.mark.parametrize("thoughts", ["", "THOUGHT"])
@pytest.mark.parametrize("n_calls", [1, 3])
def test_templates_show_earlier_calls_and_results(model: Model, n_calls: int, thoughts: str):
    calls = [
        {
            "id": f"call_{i}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(ARGUMENTS[name])},
        }
        for i, name in enumerate(list(ARGUMENTS)[:n_calls])
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"RESULT_{call['id']}"}
        for call in calls
    ]
    said = {"reasoning_content": thoughts} if thoughts else {}
    working = [
        {"role": "system", "content": "SYSTEM"},
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": calls, **said},
        *results,
    ]
    answered = {"role": "assistant", "content": "ANSWER", **said}
    done = [*working, answered, {"role": "user", "content": "Again?"}]
    shown = ["SYSTEM", "Question?", *(result["content"] for result in results)]
    shown += [call["function"]["name"] for call in calls]
    for messages, more in ((working, []), (done, ["ANSWER", "Again?"])):
        prompt = model.prompt(messages, tools=tools())
        assert [text for text in (*shown, *more) if text not in prompt] == []


def test_a_call_follows_a_result(model: Model):
    call = {"id": "call_0", "type": "function", "function": {"name": "gamma", "arguments": "{}"}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "Result"},
    ]
    fields = {"tool_choice": "required", "seed": 1, **ONE}
    (answer,) = model.answers({"messages": messages, "tools": tools(), **fields})
    check_calls(answer)


def test_no_mark_is_said_freely(model: Model):
    for answer in model.answers(
        *(
            {"tools": tools(), "seed": seed, "max_tokens": 60, "temperature": 2.0}
            for seed in (1, 2)
        ),
        {"seed": 3, "max_tokens": 60, "temperature": 2.0},
    ):
        said = answer.text + answer.thoughts
        assert [mark for mark in model.controls if mark in said] == []
