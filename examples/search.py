"""Texts by what they mean: vectors, and documents ranked for a question.

Models that are made for it do this better: `qwen3-embedding-0.6b` for vectors.
"""

from __future__ import annotations

import pyserve

DOCUMENTS = ["Bread is baked from flour.", "A fox is an animal.", "Rain falls from clouds."]


def main(llm: pyserve.LLM) -> None:
    question = "Which of these is about weather?"
    vectors = llm.embed(DOCUMENTS)
    asked = llm.embed(question)
    for document, vector in zip(DOCUMENTS, vectors, strict=True):
        nearness = sum(one * other for one, other in zip(asked, vector, strict=True))
        print(f"{nearness:.3f} {document}")

    for ranked in llm.rerank(question, DOCUMENTS):
        print(f"{ranked.relevance_score:.3f} {DOCUMENTS[ranked.index]}")
    print(llm.score(question, DOCUMENTS[2]))


if __name__ == "__main__":
    with pyserve.LLM("smollm2-135m-instruct") as llm:
        main(llm)
