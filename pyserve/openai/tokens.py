"""The answers of the endpoints around tokens, in llama-server's shapes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class TokenPiece(msgspec.Struct, frozen=True):
    """A token and its text, or its bytes where they are no UTF-8 by themselves."""

    id: int
    piece: str | list[int]


class Tokenized(msgspec.Struct, frozen=True):
    """Answers /tokenize."""

    tokens: Sequence[int | TokenPiece]


class Detokenized(msgspec.Struct, frozen=True):
    """Answers /detokenize."""

    content: str


class Rendered(msgspec.Struct, frozen=True):
    """Answers /apply-template."""

    prompt: str


class InputTokens(msgspec.Struct, frozen=True):
    """Answers /chat/completions/input_tokens."""

    input_tokens: int


def with_pieces(tokens: Sequence[int], pieces: Sequence[bytes]) -> Tokenized:
    """Each token with its piece; both lists are of one length."""
    pairs = zip(tokens, pieces, strict=True)
    return Tokenized([TokenPiece(token, _text_or_bytes(piece)) for token, piece in pairs])


def _text_or_bytes(piece: bytes) -> str | list[int]:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)
