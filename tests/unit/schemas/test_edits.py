"""Requests of edits."""

from __future__ import annotations

import pytest

from pyserve.schemas.edits import EditRequest
from tests.support.problems import problem


@pytest.mark.parametrize(
    ("fields", "inputs"),
    [
        ({}, [""]),
        ({"input": None}, [""]),
        ({"input": "a"}, ["a"]),
        ({"input": ["a", "b"]}, ["a", "b"]),
    ],
)
def test_edit_inputs(fields, inputs):
    assert EditRequest.model_validate({"instruction": "fix", **fields}).inputs == inputs


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "instruction"),
        ({"instruction": ""}, "instruction"),
        ({"instruction": "x", "input": 5}, "input"),
        ({"instruction": "x", "stream": True}, "stream"),
        ({"instruction": "x", "best_of": 2}, "best_of"),
        ({"instruction": "x", "logprobs": 1}, "logprobs"),
        ({"instruction": "x", "prompt": "x"}, "prompt"),
        ({"instruction": "x" * 2**20, "input": ["", "", ""]}, "input"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_edits_refuse(fields, param):
    assert problem(EditRequest, fields)[1] == param
