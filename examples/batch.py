"""Many prompts at a time. Their common beginning is computed once."""

from __future__ import annotations

import pyserve

REVIEWS = ["I loved it.", "It broke on the first day.", "It is fine.", "Never again."]


def main(llm: pyserve.LLM) -> None:
    system = {"role": "system", "content": "Say whether a review is positive or negative."}
    chats = [[system, {"role": "user", "content": review}] for review in REVIEWS]
    params = pyserve.SamplingParams(temperature=0, max_tokens=16)
    for review, answer in zip(REVIEWS, llm.chat(chats, params), strict=True):
        cached, n = answer.usage.cached_tokens, answer.usage.prompt_tokens
        print(f"{review:28} {answer.text[:40]!r} ({cached} of {n} prompt tokens shared)")


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
