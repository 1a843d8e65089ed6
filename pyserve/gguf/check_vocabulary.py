"""Validates the vocabulary in a GGUF head, by the rules that llama.cpp's loader relies on.

REQUIRES: the arrays and all their strings lie within the file.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from typing import Final

STRING, INT32 = 8, 5
ARRAY_HEAD: Final = struct.Struct("<IQ")  # the type of the elements and their number
U64: Final = struct.Struct("<Q")
MODEL: Final = "tokenizer.ggml.model"
TOKENS: Final = "tokenizer.ggml.tokens"
TOKEN_TYPES: Final = "tokenizer.ggml.token_type"
SCORES: Final = "tokenizer.ggml.scores"
MERGES: Final = "tokenizer.ggml.merges"
SPECIAL: Final = ("tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id")
NO_TOKEN: Final = (-1, (1 << 32) - 1)  # how files say that there is none
SCORED: Final = ("llama", "t5")  # the tokenizers that choose by scores
N_TOKEN_TYPES, MAX_TOKEN_BYTES = 7, 1 << 16
MAX_SHOWN_BYTES = 64

Scalar = int | float | str


class Damage(Exception):
    """The file is damaged; the text names the field."""


def require(is_so: bool, complaint: str) -> None:
    """Raises Damage with the complaint unless the condition holds."""
    if not is_so:
        raise Damage(complaint)


def check_vocabulary_array(key: str, data: mmap.mmap, begin: int) -> None:
    """Checks the array that begins here if its key is one of a vocabulary's. Raises Damage."""
    if key == TOKENS:
        _check_tokens(data, begin)
    elif key == MERGES:
        _check_merges(data, begin)
    elif key == TOKEN_TYPES:
        _check_token_types(data, begin)


def check_vocabulary(values: Mapping[str, Scalar], lengths: Mapping[str, int]) -> None:
    """Checks that the parts of a vocabulary agree with each other. Raises Damage.

    values: all keys with one value. lengths: those with arrays, and how many elements they have.
    """
    n_tokens = lengths.get(TOKENS)
    for key in (SCORES, TOKEN_TYPES):
        n = lengths.get(key, n_tokens)
        require(n == n_tokens, f"{key} has {n} entries for {n_tokens} tokens")
    needs_scores = values.get(MODEL) in SCORED
    require(not needs_scores or SCORES in lengths, f"{SCORES} is not there")
    for key in SPECIAL:
        token = values.get(key, 0)
        is_token = n_tokens is None or token in NO_TOKEN or token in range(n_tokens)
        require(is_token, f"{key} is {token} of {n_tokens} tokens")


def _check_tokens(data: mmap.mmap, begin: int) -> None:
    """Refuses duplicates, on which the loader ends its process; it names empty tokens itself."""
    ids: dict[bytes, int] = {}
    for index, (at, end) in enumerate(_strings(TOKENS, data, begin)):
        token = data[at : min(end, at + MAX_TOKEN_BYTES + 1)]
        if len(token) > MAX_TOKEN_BYTES:
            raise Damage(f"token {index} has more than {MAX_TOKEN_BYTES} bytes")
        token = token.partition(b"\0")[0]  # the loader reads so far
        if token and ids.setdefault(token, index) != index:
            shown = str(token[:MAX_SHOWN_BYTES], "utf-8", "replace")
            raise Damage(f"tokens {ids[token]} and {index} are the same, {shown!r}")


def _check_merges(data: mmap.mmap, begin: int) -> None:
    """Refuses malformed merges, which the loader drops: texts would get other tokens."""
    for index, (at, end) in enumerate(_strings(MERGES, data, begin)):
        if data.find(b" ", at + 1, end) < 0:
            shown = data[at : min(end, at + MAX_SHOWN_BYTES)]
            raise Damage(f"{MERGES} {index} is no pair, {shown!r}")


def _check_token_types(data: mmap.mmap, begin: int) -> None:
    kind, n = ARRAY_HEAD.unpack_from(data, begin)
    require(kind == INT32, f"{TOKEN_TYPES} is an array of type {kind}")
    values = struct.unpack_from(f"<{n}i", data, begin + ARRAY_HEAD.size)
    unknown = {*values} - {*range(N_TOKEN_TYPES)}
    require(not unknown, f"{TOKEN_TYPES} has the unknown types {sorted(unknown)[:4]}")


def _strings(key: str, data: mmap.mmap, begin: int) -> Iterator[tuple[int, int]]:
    """The range of each string of an array. There are hundreds of thousands."""
    kind, n = ARRAY_HEAD.unpack_from(data, begin)
    require(kind == STRING, f"{key} is an array of type {kind}")
    at, unpack = begin + ARRAY_HEAD.size, U64.unpack_from
    for _ in range(n):
        end = at + 8 + unpack(data, at)[0]
        yield at + 8, end
        at = end
