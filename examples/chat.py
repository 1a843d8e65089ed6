"""A conversation of two turns."""

from __future__ import annotations

import pyserve


def main(llm: pyserve.LLM) -> None:
    params = pyserve.SamplingParams(temperature=0, max_tokens=48)
    messages: list[dict[str, object]] = [{"role": "user", "content": "Name a city in France."}]
    answer = llm.chat(messages, params)
    print(answer.text)

    messages += [answer.message, {"role": "user", "content": "And one in Japan?"}]
    answer = llm.chat(messages, params)
    print(answer.text)
    print(answer.usage)


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
