"""Answers by tiny random models to schemas of many kinds: nothing leads them but the grammar."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import SamplingParams
from pyserve.openai.structured.constraint import schema_constraint
from tests.native.helpers import read, submit
from tests.support.schema_kinds import KINDS, schemas

N_SCHEMAS = 14
N_WALKS = 4
FORMATS = jsonschema.FormatChecker(set(jsonschema.FormatChecker.checkers) - {"time"})  # draft 3's


def errors(schema: dict[str, Any], text: str) -> list[str]:
    """What the judge has against an answer; multiples are told by their decimals."""
    validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    return [
        f"{text}: {error.message}"
        for error in validator.iter_errors(json.loads(text))
        if error.validator != "multipleOf"
        or Decimal(str(error.instance)) % Decimal(str(error.validator_value))
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_walk_through_a_grammar_is_valid(engine: LocalEngine, kind: str) -> None:
    n_texts = 0
    for schema in schemas(kind, N_SCHEMAS):
        constraint = schema_constraint(schema, "schema")
        streams = [
            submit(
                engine,
                "the cat",
                grammar=constraint.grammar,
                sampling=SamplingParams(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed),
                max_tokens=100,
            )
            for seed in range(N_WALKS)
        ]
        texts = [answer.text for answer in map(read, streams) if answer.finish.reason == "stop"]
        n_texts += len(texts)
        if constraint.unenforced:
            for text in texts:
                json.loads(text)
            continue
        for text in texts:
            assert errors(schema, text) == [], schema
    assert n_texts >= N_SCHEMAS // 2
