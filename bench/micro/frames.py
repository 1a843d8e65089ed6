"""What one streamed token costs the front to write: python -m bench.micro.frames

Rows: an answer's deltas of plain text. Columns: chunks made and encoded one by one, the same bytes
from a template in Python, and from the compiled one. Median of the rounds, with the fastest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from pyserve.engine.protocol import Delta
from pyserve.openai.answer import StreamAnswer
from pyserve.openai.chat.chat import ChatAnswer
from pyserve.openai.completions.completions import CompletionAnswer
from pyserve.openai.document import examples
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.web.answer import frame_template_py
from pyserve.web.answer.frame_template import FrameTemplate, MakeTemplate, is_compiled
from pyserve.web.answer.sse import DataFrames

N_ROUNDS = 15
N_TOKENS = 20_000
# Tokens of prose, code and other scripts.
TEXTS = (
    " the",
    " and",
    "\n",
    ' "',
    " once",
    "ing",
    " über",
    "日本",
    "\t\tif",
    " story",
    ".",
    " \\",
)

Write = Callable[[Delta], bytes]


def answers() -> dict[str, StreamAnswer]:
    """Fresh streamed answers, by endpoint."""
    chat = ChatRequest.model_validate({**examples.CHAT, "stream": True})
    completion = CompletionRequest.model_validate({**examples.COMPLETION, "stream": True})
    return {
        "chat/completions": ChatAnswer(chat, examples.MODEL, examples.INFO),
        "completions": CompletionAnswer(completion, examples.MODEL, examples.INFO, str),
    }


def one_by_one(answer: StreamAnswer) -> Write:
    """Every chunk is made and encoded."""
    frames = DataFrames(answer)
    return lambda delta: frames.chunks(answer.push(0, delta))


def by_template(answer: StreamAnswer, template: MakeTemplate) -> Write:
    """A template is filled."""
    frames = DataFrames(answer, template)
    return lambda delta: frames.push(0, delta)


def rounds_us(write: Write, deltas: Sequence[Delta]) -> list[float]:
    """Microseconds per delta, one figure for each round."""
    figures = []
    for _ in range(N_ROUNDS):
        begin = time.perf_counter()
        for delta in deltas:
            write(delta)
        figures.append((time.perf_counter() - begin) / len(deltas) * 1e6)
    return figures


def main() -> None:
    deltas = [Delta(text=TEXTS[i % len(TEXTS)], n_tokens=1) for i in range(N_TOKENS)]
    print(f"us per token, median (fastest) of {N_ROUNDS} rounds of {N_TOKENS} tokens")
    for name, answer in answers().items():
        writers = {
            "one by one": one_by_one(answer),
            "template, Python": by_template(answer, frame_template_py.FrameTemplate),
        }
        if is_compiled:
            writers["template, Cython"] = by_template(answer, FrameTemplate)
        expected = [writers["one by one"](delta) for delta in deltas[: len(TEXTS)]]
        for label, write in writers.items():
            assert [write(delta) for delta in deltas[: len(TEXTS)]] == expected
            figures = rounds_us(write, deltas)
            shown = f"{statistics.median(figures):6.2f} ({min(figures):.2f})"
            print(f"{name:18} {label:18} {shown}")


if __name__ == "__main__":
    main()
