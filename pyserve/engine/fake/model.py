"""The fake engine's model: words as tokens, made-up log-probabilities and embeddings."""

from __future__ import annotations

import math
import struct

import msgspec

from pyserve.engine.config import EngineConfig
from pyserve.engine.protocol import ModelInfo, PairTokens, TokenLogprob, TopLogprob

DEFAULT_N_CTX = 4096
N_VOCAB = 32_000
N_EMBD = 8
BOS = 0
SEP = N_VOCAB - 4
FIM_TOKENS = {
    "fim_pre_token": N_VOCAB - 3,
    "fim_suf_token": N_VOCAB - 2,
    "fim_mid_token": N_VOCAB - 1,
}


class FakeVocab:
    """Gives words token ids as they come, from 1 on; id 0 is BOS and has no text. One thread."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words: dict[int, str] = {BOS: ""}

    def token(self, word: str) -> int:
        token = self._ids.setdefault(word, 1 + len(self._ids) % (N_VOCAB - 1))
        self._words.setdefault(token, word)
        return token

    def text(self, tokens: list[int]) -> str:
        return "".join(self._words.get(token, f" <{token}>") for token in tokens)

    def logprob(self, word: str, position: int, n_top: int) -> TokenLogprob:
        """The log-probability of a token: the best of `n_top` descending alternatives."""
        best = -0.125 * (1 + position % 4)
        token = self.token(word)
        top = [TopLogprob(token, word.encode(), best)]
        for rank in range(1, n_top):
            other = f" other{rank}"
            top.append(TopLogprob(self.token(other), other.encode(), best - rank))
        return TokenLogprob(token, word.encode(), best, top[:n_top])

    def prompt_logprobs(self, tokens: list[int], n_top: int) -> list[TokenLogprob]:
        """Log-probabilities of the prompt's tokens but the first one, which nothing precedes."""
        pieces = [self.text([token]) for token in tokens]
        rest = [self.logprob(piece, i, n_top) for i, piece in enumerate(pieces)]
        return [TokenLogprob(tokens[0], pieces[0].encode(), 0.0, []), *rest[1:]]


def fake_embedding(tokens: list[int]) -> bytes:
    """Counts of token ids modulo N_EMBD, as a vector of length 1."""
    counts = [sum(token % N_EMBD == i for token in tokens) for i in range(N_EMBD)]
    length = math.hypot(*counts)
    return struct.pack(f"<{N_EMBD}f", *(count / length for count in counts))


def fake_ranks(tokens: list[int], n_ranks: int) -> bytes:
    """How many tokens come again, less 2; and numbers below it."""
    first = len(tokens) - len(set(tokens)) - 2.0
    return struct.pack(f"<{n_ranks}f", *(first - i for i in range(n_ranks)))


def fake_info(
    config: EngineConfig, has_chat_template: bool, has_infill: bool = False, n_ranks: int = 0
) -> ModelInfo:
    n_ctx = config.n_ctx or DEFAULT_N_CTX
    info = ModelInfo(
        architecture="fake",
        description="scripted answers, no model",
        quantization="none",
        n_params=0,
        size_bytes=0,
        n_vocab=N_VOCAB,
        n_embd=N_EMBD,
        n_layer=0,
        n_ctx_train=n_ctx,
        n_ctx=n_ctx,
        n_seq_max=config.n_seq_max,
        n_threads=config.n_threads,
        has_chat_template=has_chat_template,
        can_generate=n_ranks == 0,
        n_ranks=n_ranks,
        pair=PairTokens([BOS], [SEP], [SEP]) if n_ranks else PairTokens(),
        kernels=config.kernels,
        eos_token="</s>",
        adapters=tuple(adapter.name for adapter in config.adapters),
    )
    return msgspec.structs.replace(info, **FIM_TOKENS) if has_infill else info
