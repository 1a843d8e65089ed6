from __future__ import annotations

import json

import pytest

from pyserve.openai.tools.string_argument import StringArgument

TEXTS = ["", "plain", 'a "quote"\n\\ \t', "Zoë \u2028 \U0001f600", "\ud83d alone", "\ud83d"]


def read(arguments: str, n_chars: int) -> str:
    reader = StringArgument()
    pieces = [arguments[i : i + n_chars] for i in range(0, len(arguments), n_chars)]
    return "".join(map(reader.feed, pieces)) + reader.close()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("space", ["", " "])
def test_a_text_is_read_whole_whatever_its_pieces(text, space):
    arguments = f'{{{space}"input"{space}:{space}{json.dumps(text)}{space}}}'
    shown = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    for n_chars in range(1, len(arguments) + 1):
        assert read(arguments, n_chars) == shown


def test_text_comes_as_soon_as_it_is_known():
    reader = StringArgument()
    assert [reader.feed(piece) for piece in ('{"in', 'put": "a', "b\\", "nc", '"}')] == [
        "",
        "a",
        "b",
        "\nc",
        "",
    ]


@pytest.mark.parametrize("arguments", ["ls -l", "{}", '{"input": 5}', "["])
def test_arguments_of_another_form_are_the_text(arguments):
    assert read(arguments, 1) == arguments


def test_a_text_that_is_cut_is_what_there_was():
    assert read('{"input": "abc', 2) == "abc"
