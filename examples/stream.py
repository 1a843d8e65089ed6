"""An answer as it comes. To leave the loop cancels the request."""

from __future__ import annotations

import pyserve


def main(llm: pyserve.LLM) -> None:
    params = pyserve.SamplingParams(max_tokens=64, seed=1)
    for chunk in llm.stream_chat("Tell me a short story about a fox.", params):
        print(chunk.text, end="", flush=True)
        if chunk.usage:
            print(f"\n({chunk.usage.completion_tokens} tokens)")


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
