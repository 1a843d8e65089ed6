"""`best_of`: selects the candidates with the highest mean log-probability."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyserve.openai.answer import Output
from pyserve.openai.logprobs import finite


def best_of(outputs: Sequence[Output], n_candidates: int, n: int) -> list[Output]:
    """The best `n` of each run of `n_candidates` outputs, best first; of equals the first.

    When all are wanted, they keep their order.
    """
    if n_candidates == n:
        return list(outputs)
    best: list[Output] = []
    for begin in range(0, len(outputs), n_candidates):
        candidates = outputs[begin : begin + n_candidates]
        best += sorted(candidates, key=mean_logprob, reverse=True)[:n]
    return best


def mean_logprob(output: Output) -> float:
    """The mean log-probability of the output's tokens; lowest of all when it has none."""
    logprobs = [finite(token.logprob) for token in output.logprobs]
    return sum(logprobs) / len(logprobs) if logprobs else -math.inf
