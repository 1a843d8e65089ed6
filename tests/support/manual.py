"""Fenced blocks of the documents, and how they are marked to be run.

`<!-- run -->` before a block: a shell runs it in an empty directory. `<!-- run: server -->`: with a
server of the default model in place of http://localhost:8080. `<!-- run: python -->`: a program
without one. Blocks of the language `python` are programs in each case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.scripts import REPOSITORY

FENCE = re.compile(
    r"(?:<!-- run(?:: (?P<how>\w+))? -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """how: of a marked one, "" = the shell alone; None: it is not run."""

    page: str
    number: int
    language: str
    text: str
    how: str | None


def pages() -> list[Path]:
    """The documents for users."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks() -> Iterator[Block]:
    for page in pages():
        for number, found in enumerate(FENCE.finditer(page.read_text(encoding="utf-8")), 1):
            is_marked = found[0].startswith("<!-- run")
            how = (found["how"] or "") if is_marked else None
            yield Block(page.stem, number, found["language"], found["text"], how)
