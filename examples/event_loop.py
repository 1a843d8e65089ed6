"""A model in a program with an event loop."""

from __future__ import annotations

import asyncio

import pyserve


async def main(llm: pyserve.AsyncLLM) -> None:
    params = pyserve.SamplingParams(temperature=0, max_tokens=24)
    questions = ["What is a fox?", "What is a cloud?"]
    answers = await asyncio.gather(*(llm.chat(question, params) for question in questions))
    for question, answer in zip(questions, answers, strict=True):
        print(question, answer.text)
    async for chunk in llm.stream_chat("Say hello.", params):
        print(chunk.text, end="", flush=True)
    print()


async def run() -> None:
    async with await pyserve.AsyncLLM.load("smollm2-135m-instruct") as llm:
        await main(llm)


if __name__ == "__main__":
    asyncio.run(run())
