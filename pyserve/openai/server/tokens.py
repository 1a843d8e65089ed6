"""Response objects of the token endpoints, in llama-server's shapes and vLLM's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pyserve.engine.protocol import Engine, ModelInfo
from pyserve.openai.sampling import check_tokens


class TokenPiece(msgspec.Struct, frozen=True):
    """A token and its text, or its bytes where they are no UTF-8 by themselves."""

    id: int
    piece: str | list[int]


class Tokenized(msgspec.Struct, frozen=True):
    """Answers /tokenize. count and max_model_len: for vLLM's clients: `prompt` or `messages`.

    token_strs: the text of each token; bytes that are no text are written as in vocabularies,
    `<0xE2>`.
    """

    tokens: Sequence[int | TokenPiece]
    count: int | msgspec.UnsetType = msgspec.UNSET
    max_model_len: int | msgspec.UnsetType = msgspec.UNSET
    token_strs: Sequence[str] | msgspec.UnsetType = msgspec.UNSET


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


class RenderedTokens(msgspec.Struct, frozen=True):
    """The tokens of a prompt, as vLLM's `/render` tells them to routers."""

    token_ids: Sequence[int]


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


def tokenize_parts(
    engine: Engine,
    parts: Sequence[str | int],
    *,
    add_special: bool,
    parse_special: bool,
    param: str = "content",
) -> list[int]:
    """The tokens of texts and token ids in order; special ones are added to a text that is first.

    Raises InvalidRequestError for ids that the model does not have. param: where they were given.
    """
    check_tokens([part for part in parts if isinstance(part, int)], engine.info(), param)
    tokens: list[int] = []
    for n, part in enumerate(parts):
        if isinstance(part, int):
            tokens.append(part)
        else:
            is_added = add_special and n == 0
            tokens += engine.tokenize(part, add_special=is_added, parse_special=parse_special)
    return tokens


def tokenize_mixed(
    engine: Engine, prompts: Sequence[str | Sequence[str | int]], *, parse_special: bool, param: str
) -> list[list[int]]:
    """The tokens of each of several prompts, as `tokenize_parts`, with special ones."""
    return [
        tokenize_parts(
            engine,
            [each] if isinstance(each, str) else each,
            add_special=True,
            parse_special=parse_special,
            param=param,
        )
        for each in prompts
    ]


def tokenized(
    engine: Engine,
    tokens: Sequence[int],
    *,
    is_counted: bool,
    has_pieces: bool | None,
    has_strings: bool | None,
) -> Tokenized:
    """The answer for `tokens`: in vLLM's shape if they are counted, with what was asked for."""
    pieces = engine.pieces(list(tokens)) if has_pieces or has_strings else []
    return Tokenized(
        with_pieces(tokens, pieces) if has_pieces else tokens,
        count=len(tokens) if is_counted else msgspec.UNSET,
        max_model_len=engine.info().n_ctx if is_counted else msgspec.UNSET,
        token_strs=[_shown(piece) for piece in pieces] if has_strings else msgspec.UNSET,
    )


def with_pieces(tokens: Sequence[int], pieces: Sequence[bytes]) -> list[TokenPiece]:
    """Each token with its piece; both lists are of one length."""
    pairs = zip(tokens, pieces, strict=True)
    return [TokenPiece(token, _text_or_bytes(piece)) for token, piece in pairs]


def _text_or_bytes(piece: bytes) -> str | list[int]:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)


def _shown(piece: bytes) -> str:
    text = _text_or_bytes(piece)
    return text if isinstance(text, str) else "".join(f"<0x{byte:02X}>" for byte in text)
