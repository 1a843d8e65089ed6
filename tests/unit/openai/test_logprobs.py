"""Probabilities of tokens in chat answers."""

from __future__ import annotations

import math

import pytest

from pyserve.engine.protocol import (
    TopLogprob,
)
from pyserve.openai.logprobs import chat_logprobs
from tests.support.answers import as_json, token


@pytest.mark.parametrize("logprob", [-math.inf, math.nan, -1e9])
def test_impossible_tokens_have_a_finite_logprob(logprob):
    tokens = [token(b"a", logprob, TopLogprob(2, b"b", logprob))]
    content = as_json(chat_logprobs(tokens))["content"][0]
    assert content["logprob"] == content["top_logprobs"][0]["logprob"] == -9999.0


def test_chat_logprobs_carry_the_bytes_of_split_characters():
    first, second = as_json(chat_logprobs([token(b"\xc3"), token(b"\xa9")]))["content"]
    assert bytes(first["bytes"] + second["bytes"]).decode() == "é"
    assert first["token"] == "\ufffd"


def test_chat_logprobs_may_name_tokens_by_their_ids():
    tokens = [token(b"a", -1.0, TopLogprob(2, b"b", -2.0))]
    (told,) = as_json(chat_logprobs(tokens, has_ids=True))["content"]
    assert told["token"] == f"token_id:{tokens[0].token}"
    assert (told["top_logprobs"][0]["token"], told["bytes"]) == ("token_id:2", [97])
