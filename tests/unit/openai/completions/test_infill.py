from __future__ import annotations

import msgspec
import pytest

from pyserve.engine.fake.model import FIM_TOKENS
from pyserve.openai.completions.infill import infill_prompts
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
