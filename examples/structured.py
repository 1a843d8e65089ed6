"""An answer that is an object: of a pydantic class, and of a JSON Schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

import pyserve


class Review(BaseModel):
    mood: Literal["good", "bad", "mixed"]
    stars: int = Field(ge=1, le=5)
    words: list[Annotated[str, Field(max_length=12)]] = Field(max_length=3)


def main(llm: pyserve.LLM) -> None:
    params = pyserve.SamplingParams(temperature=0, max_tokens=200)
    question = "The food was wonderful, but we waited for an hour. Rate this review as JSON."
    review = llm.chat(question, params, schema=Review).parsed
    print(review.mood, review.stars, review.words)

    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}}
    print(llm.generate("The capital of Italy as JSON: ", params, schema=schema).parsed)


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
