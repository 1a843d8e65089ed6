"""Structured output of the default model through the real server and the official client."""

from __future__ import annotations

import concurrent.futures
import json
import re

import httpx
import jsonschema
import openai
import pytest

from tests.support.server import ServerProcess

pytestmark = pytest.mark.model

MODEL = "smollm2-135m-instruct"


def question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_many_schemas_at_once_all_hold(client: openai.OpenAI) -> None:
    def ask(i: int) -> tuple[dict, str, str]:
        names = [f"key{i}", "text", "list"]
        kinds = [{"type": "integer"}, {"type": "string", "maxLength": 20}]
        kinds.append({"type": "array", "items": {"type": "boolean"}, "maxItems": 3})
        schema = {
            "type": "object",
            "properties": dict(zip(names, kinds, strict=True)),
            "required": names,
            "additionalProperties": False,
        }
        named = {"name": "x", "schema": schema, "strict": True}
        completion = client.chat.completions.create(
            model=MODEL,
            messages=question(f"Give me some JSON about {i}."),
            response_format={"type": "json_schema", "json_schema": named},
            max_tokens=120,
            seed=i,
            n=2,
        )
        assert len(completion.choices) == 2
        choice = completion.choices[1]
        return schema, choice.message.content or "", choice.finish_reason

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    stopped = [(schema, text) for schema, text, reason in answers if reason == "stop"]
    assert stopped
    for schema, text in stopped:
        jsonschema.validate(json.loads(text), schema)


def test_a_stream_of_a_constrained_answer_is_the_plain_one(client: openai.OpenAI) -> None:
    fields = {
        "model": MODEL,
        "messages": question("Say something as JSON."),
        "response_format": {"type": "json_object"},
        "max_tokens": 60,
        "temperature": 0,
        "extra_body": {"deterministic": True},
    }
    plain = client.chat.completions.create(**fields)
    chunks = client.chat.completions.create(**fields, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
    assert text.startswith("{")


def test_choice_and_regex_of_other_servers(client: openai.OpenAI) -> None:
    def ask(**extra: object) -> str:
        completion = client.chat.completions.create(
            model=MODEL,
            messages=question("Is the sky blue?"),
            extra_body=extra,
            max_tokens=40,
        )
        assert completion.choices[0].finish_reason == "stop"
        return completion.choices[0].message.content or ""

    assert ask(guided_choice=["yes", "no"]) in ("yes", "no")
    assert re.fullmatch(r"\d{3}-[a-f]{2}", ask(regex=r"\d{3}-[a-f]{2}"))
    assert ask(grammar='root ::= "sky" | "sea"', ignore_eos=True) in ("sky", "sea")


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= " + "(" * 65000,
        'root ::= root "x"',
        'root ::= "x"{1000000}',
        "\n".join(
            ["root ::= a0"]
            + [f'a{i} ::= a{i + 1} "x" | a{i + 1} "y"' for i in range(60)]
            + ['a60 ::= "z"']
        ),
    ],
    ids=["parentheses", "left recursion", "repetitions", "readings"],
)
def test_hostile_grammars_are_the_clients_mistake(
    model_server: ServerProcess, grammar: str
) -> None:
    body = {"messages": question("x"), "grammar": grammar, "max_tokens": 4}
    url = f"{model_server.url}/v1/chat/completions"
    response = httpx.post(url, json=body, timeout=60, trust_env=False)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "grammar"
