from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyserve.engine.protocol import Delta, Finish, Usage
from pyserve.models.profile import ShapeProfile
from pyserve.openai.configured.shaping import Shaper, shaped, shaped_deltas

END = Finish(reason="stop", usage=Usage(n_prompt_tokens=1, n_completion_tokens=1))


@pytest.mark.parametrize(
    ("fields", "text", "result"),
    [
        ({}, " a ", " a "),
        ({"cutstrings": (r"\[.*?\]",)}, "a[b]c[d]", "ac"),
        ({"extract_regex": (r"<a>.*?</a>",)}, "x<a>1</a>y<a>2</a>", "<a>1</a>"),
        ({"extract_regex": (r"\d+", r"[a-z]+")}, "1 b", "1b"),
        ({"extract_regex": (r"\d+",)}, "none", "none"),
        ({"trimspace": ("A:",)}, "A: x ", "x"),
        ({"trimspace": ("A:", "B:")}, "A: B: x", "x"),
        ({"trimsuffix": ("</s>",)}, " x </s>", "x"),
        ({"trimsuffix": ("</s>", ".")}, "x. </s>", "x"),
        ({"cutstrings": ("b",), "trimspace": ("a",)}, "ba c", "c"),
    ],
)
def test_whole_answers(fields: dict, text: str, result: str) -> None:
    assert shaped(text, ShapeProfile(**fields)) == result


SHAPES = [
    ShapeProfile(trimspace=("A:",)),
    ShapeProfile(trimspace=("A:", " B")),
    ShapeProfile(trimsuffix=("B", "AA")),
    ShapeProfile(trimspace=("AB",), trimsuffix=("A B", ":")),
    ShapeProfile(cutstrings=("A+",), trimsuffix=("B",)),
    ShapeProfile(extract_regex=("AB", "B:")),
]


@given(st.lists(st.text(alphabet="AB: \nx", max_size=5), max_size=12), st.sampled_from(SHAPES))
@settings(deadline=None)
def test_streams_join_to_the_whole_answer(pieces: list[str], shape: ShapeProfile) -> None:
    shaper = Shaper(shape)
    said = [shaper.push(Delta(text=piece)).text for piece in pieces]
    said.append(shaper.push(Delta(finish=END)).text)
    assert "".join(said) == shaped("".join(pieces), shape)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({}, ["<think>a", " b", ""]), ({"trimspace": ("<think>",)}, ["a", " b", ""])],
)
def test_an_answer_begins_with_its_prefix(fields: dict, said: list[str]) -> None:
    shaper = Shaper(ShapeProfile(prefix="<think>", **fields))
    deltas = [Delta(text="a"), Delta(text=" b"), Delta(finish=END)]
    assert [shaper.push(delta).text for delta in deltas] == said


def test_trimming_says_what_is_sure_before_the_end() -> None:
    shaper = Shaper(ShapeProfile(trimspace=("A:",), trimsuffix=("!",)))
    said = [shaper.push(Delta(text=text)).text for text in ("A", ": ", "hello", " world", "!")]
    assert said == ["", "", "hell", "o worl", "d"]


def test_answers_are_shaped_apart_and_what_is_not_text_passes() -> None:
    items = [(0, Delta(text="A:")), None, (1, Delta(text="b")), (0, Delta(text="x", finish=END)),
             (1, Delta(finish=END))]  # fmt: skip
    out = list(shaped_deltas(items, ShapeProfile(trimspace=("A:",))))
    assert [item and (item[0], item[1].text) for item in out] == [
        None,
        None,
        (1, "b"),
        (0, "x"),
        (1, ""),
    ]
