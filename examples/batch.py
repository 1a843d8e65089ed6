"""Many prompts at a time. Their common beginning is computed once."""

from __future__ import annotations

import pyserve

RULES = """Say in one word whether a review of a product is positive, negative or mixed.
Positive: the customer would buy it again, or is happy with it. "Works as it should." is positive.
Negative: the customer would not buy it again, or gave it back. "It smells." is negative.
Mixed: the customer likes something about it, and something else not."""
REVIEWS = ["I loved it.", "It broke on the first day.", "It is fine.", "Never again."]


def main(llm: pyserve.LLM) -> None:
    system = {"role": "system", "content": RULES}
    chats = [[system, {"role": "user", "content": review}] for review in REVIEWS]
    params = pyserve.SamplingParams(temperature=0, max_tokens=16)
    for review, answer in zip(REVIEWS, llm.chat(chats, params), strict=True):
        cached, n = answer.usage.cached_tokens, answer.usage.prompt_tokens
        print(f"{review:28} {answer.text[:40]!r} ({cached} of {n} prompt tokens shared)")


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
