"""Texts with slips of the pen, to be corrected: most of the answer is in the question."""

from __future__ import annotations

import random

from bench.load.workloads import Request
from pyserve.openai.edits import edit_messages, edit_prompt

INSTRUCTION = "Correct the spelling"
N_SENTENCES = 10
MAX_TOKENS = 140
SLIPS_PER_SENTENCE = 0.7
MIN_LETTERS = 4  # of a word that is misspelt
SENTENCES = [
    "The old mill beside the river has been empty since the summer of the great flood.",
    "My grandmother kept a small garden behind the house and knew every plant by its name.",
    "We left the harbor before sunrise because the captain expected strong winds in the evening.",
    "Nobody in the village could remember who had built the narrow bridge over the canyon.",
    "The letters arrived every Tuesday, tied together with a thin green ribbon.",
    "After the concert the musicians walked home through the rain without saying a word.",
    "The children collected stones on the beach and sorted them by color and by size.",
    "A good map is worth more than a fast horse when the road disappears in the forest.",
    "The baker opens his shop at five in the morning and closes it when the bread is sold.",
    "In winter the lake freezes so hard that people cross it with their carts.",
    "The engineer explained twice why the second engine had to be replaced.",
    "She found the missing compass in the pocket of a coat that she had not worn for years.",
    "The library stays open on Saturdays, but the reading room is closed for repairs.",
    "Our neighbors planted an orchard with apples, pears and a single walnut tree.",
    "The report describes three causes of the delay and proposes a remedy for each of them.",
    "He painted the window frames blue, as his father had done before him.",
    "The market moves to the square behind the church whenever there is a festival.",
    "Most visitors come for the castle and stay because of the quiet streets below it.",
    "The teacher asked the students to describe an ordinary day in an unusual way.",
    "At the end of the valley the path divides, and both branches lead to the same hut.",
]


def misspelt(text: str, rng: random.Random) -> str:
    """The text with two neighbouring letters of some words exchanged."""
    words = text.split(" ")
    long_words = [i for i, word in enumerate(words) if len(word) > MIN_LETTERS]
    for i in long_words:
        if rng.random() < SLIPS_PER_SENTENCE / len(long_words):
            at = rng.randrange(1, len(words[i]) - 2)
            letters = list(words[i])
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
            words[i] = "".join(letters)
    return " ".join(words)


def edits(n: int, seed: int) -> list[Request]:
    """Requests to correct a text, in the words of `/v1/edits`; `prediction` is that text."""
    requests = []
    for i in range(n):
        rng = random.Random(seed + i)
        text = " ".join(misspelt(s, rng) for s in rng.sample(SENTENCES, N_SENTENCES))
        extra: dict[str, object] = {"prediction": {"type": "content", "content": text}}
        messages = edit_messages(INSTRUCTION, text)
        prompt = edit_prompt(INSTRUCTION, text)
        requests.append(Request(messages, MAX_TOKENS, extra, prompt=prompt))
    return requests
