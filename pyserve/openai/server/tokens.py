"""Response objects of the token endpoints, in llama-server's shapes and vLLM's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pyserve.engine.protocol import ModelInfo


class TokenPiece(msgspec.Struct, frozen=True):
    """A token and its text, or its bytes where they are no UTF-8 by themselves."""

    id: int
    piece: str | list[int]


class Tokenized(msgspec.Struct, frozen=True):
    """Answers /tokenize. count and max_model_len: for vLLM's clients, who send `prompt`."""

    tokens: Sequence[int | TokenPiece]
    count: int | msgspec.UnsetType = msgspec.UNSET
    max_model_len: int | msgspec.UnsetType = msgspec.UNSET


class Detokenized(msgspec.Struct, frozen=True):
    """Answers /detokenize: the text under llama-server's name, and under vLLM's."""

    content: str
    prompt: str


class TokenizerInfo(msgspec.Struct, frozen=True):
    """Answers /tokenizer_info, which vLLM's clients ask for. A token is null if there is none."""

    bos_token: str | None
    eos_token: str | None
    pad_token: None
    chat_template: str | None
    model_max_length: int
    tokenizer_class: str = "llama.cpp"


class Rendered(msgspec.Struct, frozen=True):
    """Answers /apply-template."""

    prompt: str


class InputTokens(msgspec.Struct, frozen=True):
    """Answers /chat/completions/input_tokens."""

    input_tokens: int


class ResponseInputTokens(msgspec.Struct, frozen=True):
    """Answers /responses/input_tokens."""

    input_tokens: int
    object: Literal["response.input_tokens"] = "response.input_tokens"


def tokenizer_info(info: ModelInfo) -> TokenizerInfo:
    return TokenizerInfo(
        bos_token=info.bos_token or None,
        eos_token=info.eos_token or None,
        pad_token=None,
        chat_template=info.chat_template or None,
        model_max_length=info.n_ctx,
    )


def with_pieces(tokens: Sequence[int], pieces: Sequence[bytes]) -> Tokenized:
    """Each token with its piece; both lists are of one length."""
    pairs = zip(tokens, pieces, strict=True)
    return Tokenized([TokenPiece(token, _text_or_bytes(piece)) for token, piece in pairs])


def _text_or_bytes(piece: bytes) -> str | list[int]:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)
