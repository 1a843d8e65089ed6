"""What is read of a batch's input, and what is told of what is wrong."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from pyserve.batch.lines import Bounds, InputError, read_body, read_input

CHAT = "/v1/chat/completions"
BOUNDS = Bounds(CHAT, max_lines=100, max_line_bytes=20_000)


def line(name: str, text: str = "x", **fields: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return {"custom_id": name, "method": "POST", "url": CHAT, "body": body, **fields}


def written(path: Path, *lines: Any) -> Path:
    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    path.write_bytes(b"\n".join(texts))
    return path


def problems(path: Path, bounds: Bounds = BOUNDS) -> list[tuple[int | None, str, str | None]]:
    with pytest.raises(InputError) as caught:
        read_input(path, bounds)
    return [(each.line, each.code, each.param) for each in caught.value.problems]


def test_bodies_are_read_back_whatever_is_between_the_lines(tmp_path):
    sent = [
        line("a", "é\n"),
        b"",
        b"  \t",
        line("b"),
        b"  " + json.dumps(line("c")).encode() + b"\r",
    ]
    path = written(tmp_path / "in", *sent)
    found = read_input(path, BOUNDS)
    assert found.models == ["m"]
    with path.open("rb") as file:
        bodies = {each.custom_id: json.loads(read_body(file, each)) for each in found.lines}
    assert bodies["a"]["messages"][0]["content"] == "é\n"
    assert {each.custom_id: each.number for each in found.lines} == {"a": 1, "b": 4, "c": 5}


def test_prompts_that_begin_alike_follow_each_other(tmp_path):
    """Three documents, each with several questions: every one is computed once."""
    texts = [f"{'document ' * 400}{k}{' more' * 300} question {n}" for k in "abc" for n in range(9)]
    random.Random(1).shuffle(texts)
    lines = [line(text[3600], text) | {"custom_id": str(n)} for n, text in enumerate(texts)]
    found = read_input(written(tmp_path / "in", *lines), BOUNDS)
    order = [texts[int(each.custom_id)][3600] for each in found.lines]
    assert sum(a != b for a, b in itertools.pairwise(order)) == 2


@pytest.mark.parametrize(
    ("bad", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"[]", "invalid_json_line", None),
        (b'"x"', "invalid_json_line", None),
        (b"\xff\xfe", "invalid_unicode", None),
        (b"\0", "invalid_json_line", None),
        (b"[" * 10_000, "invalid_json_line", None),
        (b'{"custom_id":"x","body":' + b'{"a":' * 3000, "invalid_json_line", None),
        ({"method": "POST", "url": CHAT, "body": {}}, "missing_required_parameter", "custom_id"),
        (line("x", custom_id=1), "invalid_type", "custom_id"),
        (line("x", body=[]), "invalid_type", "body"),
        (line("x", body=None), "invalid_type", "body"),
        (line("x", method="GET"), "invalid_method", "method"),
        (line("x", url="/v1/completions"), "invalid_url", "url"),
        (line("x", url="/v1/models/load"), "invalid_url", "url"),
        (line(""), "invalid_value", "custom_id"),
        (line("x" * 513), "invalid_value", "custom_id"),
        (line("first"), "duplicate_custom_id", "custom_id"),
        (line("x", body={"model": "other"}), "mismatched_model", "body.model"),
        (line("x", body={}), "mismatched_model", "body.model"),
        (line("x", "y" * 30_000), "line_too_large", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, bad, code, param):
    path = written(tmp_path / "in", line("first"), bad, line("last"))
    assert problems(path) == [(2, code, param)]


def test_all_of_them_are_told_up_to_a_number(tmp_path):
    path = written(tmp_path / "in", *[b"{"] * 5, line("a", method="GET", url="/"))
    assert [each[0] for each in problems(path)] == [1, 2, 3, 4, 5, 6, 6]
    path = written(tmp_path / "first", line("a", url="/"), line("b"), line("c"))
    assert problems(path) == [(1, "invalid_url", "url")]
    assert len(problems(written(tmp_path / "many", *[b"{"] * 200), Bounds(CHAT))) == 100


@pytest.mark.parametrize("content", [b"", b"\n\n", b" "])
def test_an_empty_file_is_told(tmp_path, content):
    (tmp_path / "in").write_bytes(content)
    assert problems(tmp_path / "in") == [(None, "empty_file", None)]


def test_the_number_of_lines_is_bounded(tmp_path):
    lines = [line(str(n)) for n in range(101)]
    assert problems(written(tmp_path / "in", *lines)) == [(101, "too_many_tasks", None)]


def test_a_line_may_have_as_many_bytes_as_allowed(tmp_path):
    data = json.dumps(line("a")).encode()
    bounds = Bounds(CHAT, max_line_bytes=len(data))
    for end in (b"", b"\n", b"\r\n"):
        (tmp_path / "in").write_bytes(data + end)
        assert len(read_input(tmp_path / "in", bounds).lines) == 1
        (tmp_path / "in").write_bytes(data + b" " + end)
        assert problems(tmp_path / "in", bounds) == [(1, "line_too_large", None)]


def test_lines_may_have_endpoints_and_models_of_their_own_where_that_is_allowed(tmp_path):
    lines = [line("a", url="/v1/embeddings", body={"model": "e", "input": "x"}), line("b")]
    found = read_input(written(tmp_path / "in", *lines), Bounds(n_models=None))
    assert [each.url for each in found.lines] == [CHAT, "/v1/embeddings"]
    assert found.models == ["e", "m"]
    few = Bounds(CHAT, n_models=2)
    lines = [line(name, body={"model": name}) for name in "abac"]
    lines[2]["custom_id"] = "again"
    assert problems(written(tmp_path / "in", *lines), few) == [
        (4, "mismatched_model", "body.model")
    ]
