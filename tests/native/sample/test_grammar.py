"""Answers that are held to a grammar, by tiny random models: nothing leads them but the grammar."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.regex import plain_regex
from pyserve.openai.structured.rules import Rules
from pyserve.openai.structured.schema import SchemaGrammar
from tests.native.helpers import Answer, ask, read, submit

PROMPT = "the cat"
WILD = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 6},
        "age": {"type": "integer", "minimum": -5, "maximum": 130},
        "born": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-\\d{1,3}$"},
        "kind": {"enum": ["a", 1, None, "ü\n"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["age", "kind", "tags"],
    "additionalProperties": False,
}


CORNERS: list[dict[str, Any]] = [
    {"type": "string", "enum": ['a"b\\c', "\x7f", "日本"]},
    {"const": {"a": [1, 2.5, None], "b": {}}},
    {"type": ["integer", "null"], "exclusiveMinimum": -12, "exclusiveMaximum": 7.5},
    {"type": "integer", "minimum": 95, "maximum": 100203},
    {"type": "integer", "maximum": -7},
    {"type": "integer", "minimum": 1},
    {"type": "number"},
    {"type": "string", "maxLength": 3},
    {"type": "string", "pattern": '^(\\w|[^a-z"]){1,3}\\\\$'},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "email"},
    {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": 1}], "items": False},
    {"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 2},
    {"type": "array", "maxItems": 0},
    {"type": "object", "properties": {"a": {"type": "null"}, "ab": {"type": "boolean"}}},
    {
        "type": "object",
        "properties": {"a": {"type": "null"}, "ab": {"type": "null"}},
        "additionalProperties": {"type": "boolean"},
    },
    {"type": "object", "required": ["x"], "additionalProperties": {"type": "null"}},
    {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
            }
        },
    },
    {
        "oneOf": [
            {"properties": {"k": {"const": "a"}, "n": {"type": "integer"}}, "required": ["k"]},
            {"properties": {"k": {"const": "b"}}, "required": ["k"]},
        ]
    },
]


def wild(seed: int, **fields: Any) -> SamplingParams:
    return SamplingParams(**WILD, seed=seed, **fields)


def test_answers_of_every_seed_are_valid_when_they_end_with_stop(engine: LocalEngine) -> None:
    grammar = SchemaGrammar(SCHEMA).text()
    answers: list[Answer] = []
    for first in (0, 50):
        streams = [
            submit(engine, PROMPT, grammar=grammar, sampling=wild(seed), max_tokens=200)
            for seed in range(first, first + 50)
        ]
        answers += map(read, streams)
    stopped = [answer.text for answer in answers if answer.finish.reason == "stop"]
    assert len(stopped) > 50
    for text in stopped:
        jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize("schema", CORNERS, ids=lambda schema: json.dumps(schema)[:60])
def test_corners_of_schemas_hold(engine: LocalEngine, schema: dict[str, Any]) -> None:
    grammar = SchemaGrammar(schema)
    assert grammar.issues == []
    streams = [
        submit(engine, PROMPT, grammar=grammar.text(), sampling=wild(seed), max_tokens=120)
        for seed in range(12)
    ]
    texts = [answer.text for answer in map(read, streams) if answer.finish.reason == "stop"]
    assert texts
    checker = jsonschema.FormatChecker()
    for text in texts:
        text.encode()
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(json.loads(text))


def test_any_object_is_an_object(engine: LocalEngine) -> None:
    grammar = SchemaGrammar({"type": "object"}).text()
    answers = [
        ask(engine, PROMPT, grammar=grammar, sampling=wild(seed), max_tokens=100)
        for seed in range(30)
    ]
    assert all(a.text.startswith("{") for a in answers)
    for answer in answers:
        if answer.finish.reason == "stop":
            assert isinstance(json.loads(answer.text), dict)


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0.0},
        {"temperature": 1.0, "top_k": 1},
        {"temperature": 1.0, "mirostat": 2},
        {"temperature": 1.5, "typical_p": 0.5, "seed": 3},
        {"temperature": 1.5, "xtc_probability": 1.0, "seed": 3},
        {"temperature": 0.0, "ignore_eos": True},
        {"temperature": 1.5, "repeat_penalty": 1.5, "dry_multiplier": 1.0, "seed": 4},
    ],
)
@pytest.mark.parametrize("deterministic", [False, True])
def test_every_sampler_obeys(
    engine: LocalEngine, sampling: dict[str, Any], deterministic: bool
) -> None:
    pattern = "(yes|no|[0-9]{2,4}ä)"
    answer = ask(
        engine,
        PROMPT,
        grammar=f"root ::= {plain_regex(pattern, Rules())}",
        sampling=SamplingParams(**sampling),
        deterministic=deterministic,
    )
    assert answer.finish.reason == "stop"
    assert re.fullmatch(pattern, answer.text)


def test_max_tokens_cuts_with_length(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, grammar='root ::= "x"{200}', max_tokens=3)
    assert answer.finish.reason == "length"
    assert set(answer.text) == {"x"}


def test_stop_strings_end_no_constrained_answer_before_it_is_whole(engine: LocalEngine) -> None:
    answer = ask(engine, PROMPT, grammar='root ::= "abc" "def"', stop=["d"])
    assert (answer.text, answer.finish.reason) == ("abcdef", "stop")


def test_log_probabilities_are_those_of_the_model(engine: LocalEngine) -> None:
    free = ask(engine, PROMPT, max_tokens=1, n_logprobs=3)
    held = ask(engine, PROMPT, grammar='root ::= "q" [a-z]+', max_tokens=1, n_logprobs=3)
    assert [top.token for top in held.logprobs[0].top] == [t.token for t in free.logprobs[0].top]
    assert held.logprobs[0].logprob < held.logprobs[0].top[0].logprob


@pytest.mark.parametrize(
    "grammar",
    [
        "root := x",
        'a ::= "x"',
        'root ::= root "x" | "y"',
        "root ::= " + "(" * 60000,
        'root ::= "x"{1000000}',
        "x" * 70000,
        "root ::= a",
        'root ::= "x" <[1]>',
    ],
)
def test_what_cannot_be_enforced_is_refused(engine: LocalEngine, grammar: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        ask(engine, PROMPT, grammar=grammar)
    assert error.value.param == "grammar"
    assert len(error.value.message) < 200
    assert ask(engine, PROMPT, max_tokens=2).finish.reason == "length"


def test_a_grammar_with_too_many_readings_fails_alone(engine: LocalEngine) -> None:
    rules = [f'a{i} ::= a{i + 1} "x" | a{i + 1} "y"' for i in range(60)]
    grammar = "\n".join(["root ::= a0", *rules, 'a60 ::= "z"'])
    with pytest.raises(InvalidRequestError, match="takes too long"):
        ask(engine, PROMPT, grammar=grammar)
    assert ask(engine, PROMPT, max_tokens=2).finish.reason == "length"


def test_what_the_grammar_dictates_takes_no_steps(engine: LocalEngine) -> None:
    text = "the dog sat on the mat and the cat on the dog"
    answer = ask(engine, PROMPT, grammar=f'root ::= "{text}"', max_tokens=200)
    assert (answer.text, answer.finish.reason) == (text, "stop")
    assert len(answer.deltas) <= 2 < answer.finish.usage.n_completion_tokens
    assert sum(delta.n_tokens for delta in answer.deltas) == answer.finish.usage.n_completion_tokens


@pytest.mark.parametrize("deterministic", [False, True])
def test_dictated_text_changes_nothing_after_it(engine: LocalEngine, deterministic: bool) -> None:
    grammar = 'root ::= [a-z] "-12345-" [a-z] "<>=<>" [a-z0-9]{8}'
    greedy = {"temperature": 0.0, "repeat_penalty": 1.3}
    for prompt in ("the cat", "the dog sat", "on the mat"):
        # Where biases could ban what is dictated, every token is sampled.
        dictated, sampled = (
            ask(
                engine,
                prompt,
                grammar=grammar,
                sampling=SamplingParams(**greedy, logit_bias=bias),
                deterministic=deterministic,
            )
            for bias in ({}, {0: 0.0})
        )
        assert len(dictated.deltas) < len(sampled.deltas)
        assert dictated.text == sampled.text


def test_dictated_text_respects_limits(engine: LocalEngine) -> None:
    grammar = 'root ::= "one two three four five six seven"'
    cut = ask(engine, PROMPT, grammar=grammar, max_tokens=5)
    assert (cut.finish.reason, cut.finish.usage.n_completion_tokens) == ("length", 5)
    whole = ask(engine, PROMPT, grammar=grammar, stop=["three"], max_tokens=100)
    assert whole.text == "one two three four five six seven"
