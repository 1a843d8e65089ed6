"""`logprobs` of completions: parallel arrays, with offsets into prompt and answer."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

import msgspec

from pyserve.engine.protocol import TokenLogprob, TopLogprob
from pyserve.openai.logprobs import TokenName, finite, id_name


class LegacyLogprobs(msgspec.Struct, frozen=True):
    """The `logprobs` of a completions choice: arrays with one entry per token.

    The first token of an echoed prompt has null for both of its probabilities.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]

    def __add__(self, other: LegacyLogprobs) -> LegacyLogprobs:
        """These tokens, then the others."""
        return LegacyLogprobs(
            self.tokens + other.tokens,
            self.token_logprobs + other.token_logprobs,
            self.top_logprobs + other.top_logprobs,
            self.text_offset + other.text_offset,
        )


class LegacyLogprobsWriter:
    """Keeps the text offset of one choice's answer while its tokens come in pieces.

    n_chars: where the answer starts, in characters of prompt and text. has_ids: tokens are named by
    their ids.
    """

    def __init__(self, n_chars: int, *, has_ids: bool = False) -> None:
        self._name = id_name if has_ids else _text
        self._n_chars = n_chars
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, tokens: Sequence[TokenLogprob]) -> LegacyLogprobs:
        """The arrays of the next tokens of the choice."""
        offsets = []
        for token in tokens:
            offsets.append(self._n_chars)
            self._n_chars += len(self._decoder.decode(token.piece))
        return LegacyLogprobs(
            tokens=[self._name(token) for token in tokens],
            token_logprobs=[finite(token.logprob) for token in tokens],
            top_logprobs=[_with_itself(token, self._name) for token in tokens],
            text_offset=offsets,
        )


class PromptEcho:
    """An echoed prompt, handed out in step with the log-probabilities of its tokens.

    is_tokens: the prompt came as token ids, so their pieces are its text. The pieces of a text are
    looked for in it, because the tokenizer may have added one (BOS) or a leading space. has_ids: as
    above.
    """

    def __init__(self, text: str, *, is_tokens: bool, has_ids: bool = False) -> None:
        self._name = id_name if has_ids else _text
        self._text = text
        self._bytes = None if is_tokens else text.encode()
        self._n_bytes = 0
        self._n_chars = 0
        self._n_told = 0
        self._is_first = True
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def write(self, tokens: Sequence[TokenLogprob]) -> tuple[str, LegacyLogprobs]:
        """The text up to the end of the next tokens, and their arrays."""
        offsets = []
        for token in tokens:
            offsets.append(self._n_chars)
            self._n_chars += len(self._decoder.decode(self._part_of_text(token.piece)))
        logprobs: list[float | None] = [finite(token.logprob) for token in tokens]
        top: list[dict[str, float] | None] = [_with_itself(token, self._name) for token in tokens]
        if self._is_first and tokens:  # nothing precedes it
            self._is_first = False
            logprobs[0] = top[0] = None
        arrays = LegacyLogprobs([self._name(token) for token in tokens], logprobs, top, offsets)
        return self._tell(self._n_chars), arrays

    def rest(self) -> str:
        """The part of the text that is not given out yet."""
        return self._tell(len(self._text))

    def _part_of_text(self, piece: bytes) -> bytes:
        """The bytes of the text that `piece` stands for; none for a token that was added."""
        if self._bytes is None:
            return piece
        for part in (piece, piece.removeprefix(b" ")):
            if self._bytes.startswith(part, self._n_bytes):
                self._n_bytes += len(part)
                return part
        return b""

    def _tell(self, n_chars: int) -> str:
        begin, self._n_told = self._n_told, max(n_chars, self._n_told)
        return self._text[begin : self._n_told]


def _text(token: TokenLogprob | TopLogprob) -> str:
    r"""The token's text, or `bytes:\xe2\x80` for a part of a character (so that keys differ)."""
    try:
        return token.piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.piece)


def _with_itself(token: TokenLogprob, name: TokenName) -> dict[str, float]:
    """The alternatives, and the token itself whether or not it is among them."""
    top = {name(best): finite(best.logprob) for best in token.top}
    return top | {name(token): finite(token.logprob)}
