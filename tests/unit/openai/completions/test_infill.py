from __future__ import annotations

import msgspec
import pytest

from pyserve.engine.fake.model import FIM_TOKENS
from pyserve.openai.completions.infill import file_prompt, infill_prompts, split_room
from pyserve.schemas.infill import InfillRequest
from pyserve.schemas.validate import UnsupportedParameterError
from tests.support.answers import INFO

PRE, SUF, MID = FIM_TOKENS.values()
ABLE = msgspec.structs.replace(INFO, **FIM_TOKENS)


def tokenize(text: str, *, add_special: bool, parse_special: bool) -> list[int]:
    assert not parse_special
    return [7] * add_special + list(text.encode())


def test_the_suffix_stands_behind_each_prompt_and_the_middle_is_asked_for():
    assert infill_prompts(["a", [5, 6]], "zz", ABLE, tokenize) == [
        [7, PRE, 97, SUF, 122, 122, MID],
        [7, PRE, 5, 6, SUF, 122, 122, MID],
    ]


@pytest.mark.parametrize("missing", FIM_TOKENS)
def test_a_model_that_lacks_one_of_the_tokens_is_refused(missing):
    info = msgspec.structs.replace(ABLE, **{missing: -1})
    with pytest.raises(UnsupportedParameterError) as caught:
        infill_prompts(["a"], "z", info, tokenize)
    assert caught.value.param == "suffix"
    assert "fill-in-the-middle" in caught.value.message


def with_controls(text: str, *, add_special: bool, parse_special: bool) -> list[int]:
    """Bytes as tokens, and control tokens of a vocabulary that knows projects."""
    known = {"<|repo_name|>": 1001, "<|file_sep|>": 1002}
    if parse_special and text in known:
        return [known[text]]
    return [7] * add_special + list(text.encode())


def without_controls(text: str, *, add_special: bool, parse_special: bool) -> list[int]:
    return tokenize(text, add_special=add_special, parse_special=False)


@pytest.mark.parametrize(
    ("n_room", "n_before", "n_after", "kept"),
    [
        (100, 10, 10, (10, 10)),
        (100, 200, 200, (75, 25)),
        (100, 200, 5, (95, 5)),
        (100, 20, 200, (20, 80)),
        (0, 5, 5, (0, 0)),
    ],
)
def test_before_and_after_share_the_room(n_room, n_before, n_after, kept):
    assert split_room(n_room, n_before, n_after) == kept


def test_files_are_named_for_a_model_that_knows_projects():
    extra = [{"text": "A", "filename": "a"}, {"text": "B", "filename": "b"}]
    body = InfillRequest(input_prefix="x", input_suffix="y", input_extra=extra)
    tokens = file_prompt(body, ABLE, with_controls, 1000)
    parts = [chr(token) if token < 1000 else f"<{token}>" for token in tokens[1:-5]]
    assert "".join(parts) == "<1001>project\n<1002>a\nA<1002>b\nB<1002>filename\n"
    assert tokens[:1] + tokens[-5:] == [7, PRE, 120, SUF, 121, MID]


@pytest.mark.parametrize(("n_ctx", "kept"), [(48, "aaaabb"), (46, "aabb"), (44, "bb"), (29, "")])
def test_the_last_files_are_kept(n_ctx, kept):
    extra = [{"text": "aaaa", "filename": "1"}, {"text": "bb", "filename": "2"}]
    body = InfillRequest(input_prefix="x", input_suffix="y", input_extra=extra, n_predict=10)
    tokens = file_prompt(body, ABLE, without_controls, n_ctx)
    assert len(tokens) + 10 <= n_ctx
    assert "".join(chr(token) for token in tokens if chr(token) in "ab") == kept
