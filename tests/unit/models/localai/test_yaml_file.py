from __future__ import annotations

import pytest

from pyserve.models.localai.yaml_file import MAX_DEPTH, YamlError, read_yaml


def value_of(text: str) -> object:
    (document,) = read_yaml(text)
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, 2.5, true, null]", {"a": 1, "b": ["x", 2.5, True, None]}),
        ("- name: a\n- name: b", [{"name": "a"}, {"name": "b"}]),
        ("a: 2020-01-01", {"a": "2020-01-01"}),
        ("a: |\n  {{.Input}}\n  x", {"a": "{{.Input}}\nx"}),
        ("1: x", {"1": "x"}),
        (
            "b: &b {x: 1, y: 2}\na:\n  <<: *b\n  y: 3",
            {"b": {"x": 1, "y": 2}, "a": {"x": 1, "y": 3}},
        ),
    ],
)
def test_values(text: str, value: object) -> None:
    assert value_of(text) == value


def test_documents_are_kept_apart_and_empty_ones_are_left_out() -> None:
    assert [d.value for d in read_yaml("a: 1\n---\n---\nb: 2\n")] == [{"a": 1}, {"b": 2}]


def test_lines_of_keys_items_and_of_what_is_in_them() -> None:
    (document,) = read_yaml("a: 1\nb:\n  c: [1,\n   2]\n")
    assert document.line(("b", "c")) == 3
    assert document.line(("b", "c", 1)) == 4
    assert document.line(("b", "unknown")) == 2


def test_a_repeated_key_is_told_and_the_last_counts() -> None:
    (document,) = read_yaml("a: 1\na: 2\n")
    assert (document.value, document.repeated) == ({"a": 2}, [("a",)])


BILLION = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1", 3, "expected"),
        ("a: 1\n\tb: 2", 2, "tab"),
        ("a:\n - !!python/object/apply:os.system [ls]", 2, "not allowed"),
        ("a: !custom x", 1, "not allowed"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, "nested"),
        ("[" * 100_000, 1, "nest"),  # newer parsers refuse it themselves
        (BILLION, None, "values"),
        ("a: &a [*a]", 1, "itself"),
        ("a: " + "x" * (1 << 20), 1, "bytes"),
        ("? [1, 2]\n: 3", 1, "key"),
        ("a: *unknown", 1, "alias"),
        ("a: 1\nb: \x01", None, ""),
    ],
)
def test_what_is_refused(text: str, line: int | None, words: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(text)
    assert words in caught.value.problem
    assert line is None or caught.value.line == line
