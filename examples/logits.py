"""Logits as NumPy arrays, and a function that changes them before each token is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import pyserve


def main(llm: pyserve.LLM) -> None:
    prompt = "The capital of France is"
    (row,) = llm.logits(prompt, last=1)
    best = np.argsort(row)[::-1][:5]
    powers = np.exp(row - row.max())
    for token in best:
        print(f"{llm.detokenize([token])!r:12} {powers[token] / powers.sum():.3f}")

    def no_favourite(_tokens: NDArray[np.int32], logits: NDArray[np.float32]) -> None:
        logits[best[0]] = -np.inf

    params = pyserve.SamplingParams(temperature=0, max_tokens=12)
    print(llm.generate(prompt, params).text)
    changed = pyserve.SamplingParams(temperature=0, max_tokens=12, logits_processors=[no_favourite])
    print(llm.generate(prompt, changed).text)


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
