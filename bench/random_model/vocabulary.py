"""The tokenizer of one model for another with more tokens, or with fewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyserve.gguf.writer import Scalar

PREFIX: Final = "tokenizer."
_MODEL, _TOKENS = "tokenizer.ggml.model", "tokenizer.ggml.tokens"
_TYPES, _MERGES = "tokenizer.ggml.token_type", "tokenizer.ggml.merges"
_NORMAL: Final = 1  # tokens whose text is written

Vocabulary = Mapping[str, Scalar | Sequence[Scalar]]


def resized(metadata: Mapping[str, Any], n_tokens: int) -> Vocabulary:
    """The keys of a tokenizer, cut to `n_tokens` tokens or filled up with tokens that have a text.

    Raises ValueError for one that is not of byte-level BPE, whose first tokens are the bytes.
    """
    if metadata.get(_MODEL) != "gpt2":
        raise ValueError(f"the vocabulary is of {metadata.get(_MODEL)}, not of byte-level BPE")
    kept = {key: value for key, value in metadata.items() if key.startswith(PREFIX)}
    tokens, types = metadata[_TOKENS][:n_tokens], metadata[_TYPES][:n_tokens]
    known = set(tokens)
    merges = [merge for merge in metadata[_MERGES] if merge.replace(" ", "", 1) in known]
    n_more = n_tokens - len(tokens)
    tokens += [f"Ġfiller-{number}" for number in range(n_more)]
    types += [_NORMAL] * n_more
    return {**kept, _TOKENS: tokens, _TYPES: types, _MERGES: merges}
