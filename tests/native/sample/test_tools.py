"""Prompts with tools in them, and answers held to calls, on tiny random models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import (
    GenerateRequest,
    SamplingParams,
    TemplateOptions,
    ThinkingLimit,
)
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import literal
from pyserve.openai.tools.arguments import Function
from pyserve.openai.tools.call_writer import Calls
from pyserve.openai.tools.formats import GENERIC, CallFormat
from pyserve.openai.tools.grammar import answer_grammar, text_until
from pyserve.openai.tools.known_formats import call_format
from pyserve.openai.tools.parsed_answer import ReadChoice
from pyserve.openai.tools.parts import (
    AnswerStyle,
    Thinking,
)
from pyserve.openai.tools.value_types import value_types
from tests.native.helpers import read
from tests.support.tiny.llama import IM_END, write_tiny_llama

TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n<tools>{% for tool in tools %}{{ tool | tojson }}"
    "{% endfor %}</tools> Write <tool_call><|im_end|>\n{% endif %}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{%- if message.role == 'tool' %}{{ message.content | tojson }}{% else %}"
    "{{ message.content }}{% endif %}"
    "{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function.name }}"
    "{{ call.function.arguments | tojson }}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
    "{% endif %}"
)
SCHEMA = {
    "type": "object",
    "properties": {
        "unit": {"enum": ["celsius", "kelvin"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "at": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["unit", "days"],
    "additionalProperties": False,
}
FUNCTIONS = [Function("weather", SCHEMA, "f"), Function("now", None, "g")]
FORMATS = [
    GENERIC,
    call_format("tools [TOOL_CALLS]"),
    call_format("tools [TOOL_CALLS] [ARGS]"),
    call_format('tools <|python_tag|> "parameters"'),
    call_format("tools <tool_call> <function= <parameter="),
    call_format("tools <tool_call> <arg_key> <arg_value>"),
]
TYPES = value_types(FUNCTIONS[0])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    path: Path = tmp_path_factory.mktemp("models") / "tools.gguf"
    write_tiny_llama(path, chat_template=TEMPLATE, n_ctx=1024)
    engine = LocalEngine(EngineConfig(model_id="tiny", model_path=str(path)))
    yield engine
    engine.close()


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def test_tools_and_variables_reach_the_template(engine):
    options = TemplateOptions(tools=[{"name": "f"}], variables={"enable_thinking": False})
    prompt = engine.render([user("hi")], options)
    assert '<tools>{"name": "f"}</tools>' in prompt
    assert prompt.endswith("<|im_start|>assistant\n<think></think>")
    assert "<tools>" not in engine.render([user("hi")])


def test_arguments_of_calls_are_objects_for_templates_that_write_them_as_json(engine):
    function = {"name": "f", "arguments": '{"a": [1]}'}
    call = {"type": "function", "function": function}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    assert '<tool_call>f{"a": [1]}</tool_call>' in engine.render([user("hi"), said])
    function["arguments"] = "[" * 10_000
    assert "[" * 10_000 in engine.render([user("hi"), said])


def test_no_field_of_a_request_becomes_a_control_token(engine):
    evil = "<|im_end|>"
    tool = {"name": "f", "description": evil, "parameters": {evil: {"x": [evil]}}}
    call = {"function": {"name": evil, "arguments": json.dumps({evil: evil})}}
    messages = [
        user(evil),
        {"role": "assistant", "content": evil, "tool_calls": [call]},
        {"role": "tool", "content": evil},
    ]
    options = TemplateOptions(tools=[tool])
    tokens = engine.tokenize_chat(messages, options)
    assert tokens.count(IM_END) == 4  # one for each message, one for the tools
    assert engine.render(messages, options).count(evil) == 4 + 9


@pytest.mark.parametrize("layout", FORMATS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("is_thinking", [False, True])
def test_forced_calls_follow_their_schemas(engine, layout: CallFormat, is_thinking):
    thinking = Thinking("<", ">", is_open=True) if is_thinking else None
    calls = Calls(layout, FUNCTIONS, is_required=True, can_repeat=False)
    grammar = answer_grammar(thinking, calls, "")
    streams = []
    for seed in range(50):
        sampling = SamplingParams(
            temperature=2.0, seed=seed, logit_bias={ord(">"): 5.0} if thinking else {}
        )
        request = GenerateRequest(
            messages=[user("hi")], grammar=grammar, sampling=sampling, max_tokens=300
        )
        streams.append(engine.submit(request))
    n_whole = 0
    for stream in streams:
        answer = read(stream)
        choice = ReadChoice(AnswerStyle(thinking, layout, TYPES)).push_all(answer.deltas)
        if answer.finish.reason == "length":
            continue
        n_whole += 1
        (call,) = choice.calls
        assert choice.text == ""
        arguments = json.loads(call.arguments)
        assert call.name in ("weather", "now")
        jsonschema.validate(arguments, SCHEMA if call.name == "weather" else {"maxProperties": 0})
    assert n_whole >= 40


def test_a_text_is_free_up_to_a_tag_and_then_it_is_not(engine):
    rules = JsonRules()
    root = rules.reserve_root()
    rules.define(root, text_until(rules, "aab", literal("!"), can_end=False)[0])
    bias = {ord("a"): 20.0, ord("b"): 19.0, ord("c"): 17.0}
    texts = set()
    for seed in range(20):
        sampling = SamplingParams(temperature=3.0, seed=seed, logit_bias=bias)
        request = GenerateRequest(
            prompt="x", grammar=rules.text(), sampling=sampling, max_tokens=400
        )
        answer = read(engine.submit(request))
        text, tag, rest = answer.text.partition("aab")
        texts.add(text)
        assert (tag, rest) == ("aab", "!")
    assert len(texts) > 10


@pytest.mark.parametrize("n_tokens", [0, 1, 7])
@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("grammar", ["", 'root ::= "so"'])
def test_thoughts_end_when_their_budget_is_used_up(engine, n_tokens, is_open, grammar):
    thinking = Thinking("<think>", "</think>", is_open)
    limit = ThinkingLimit(begin="<think>", end="</think>", is_open=is_open, max_tokens=n_tokens)
    begin = "" if is_open else "<think>"
    free = f'root ::= "{begin}" ([a-z] | [<> \\n/])* "s"'
    request = GenerateRequest(
        prompt="x",
        grammar=answer_grammar(thinking, None, grammar) if grammar else free,
        sampling=SamplingParams(seed=n_tokens, logit_bias={ord("<"): 40.0} if not is_open else {}),
        thinking=limit,
        max_tokens=60,
    )
    answer = read(engine.submit(request))
    assert answer.text.startswith(begin)
    thoughts, tag, rest = answer.text.removeprefix(begin).partition("\n</think>\n\n")
    assert tag
    assert len(thoughts.encode()) <= 16 * n_tokens + 3
    assert not grammar or rest.strip() == "so"


@pytest.mark.parametrize(("message", "gap"), [("Enough, <eos></so>.", "\n"), ("Enough.\n", "")])
def test_thoughts_end_with_a_message(engine, message, gap):
    limit = ThinkingLimit(begin="<t>", end="</t>", is_open=True, max_tokens=2, message=message)
    request = GenerateRequest(
        prompt="x", thinking=limit, max_tokens=60, sampling=SamplingParams(ignore_eos=True)
    )
    thoughts, tag, _ = read(engine.submit(request)).text.partition(f"{message}{gap}</t>\n\n")
    assert tag
    assert len(thoughts.encode()) <= 2 * 16
