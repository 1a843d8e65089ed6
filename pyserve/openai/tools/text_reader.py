"""Input for incremental parsers: generators that yield when they need more text.

A generator that needs more text yields; `feed` and `close` go on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
SPACE = " \t\r\n"


class MalformedError(Exception):
    """The text does not have the expected form."""


class EndedError(Exception):
    """The text ends although more of it is needed."""


class TextReader:
    """The unread text. One thread."""

    def __init__(self) -> None:
        self.rest = ""
        self.is_closed = False
        self.recorded = ""

    def begin_record(self, before: str) -> None:
        """Start recording: `recorded` is `before` and all text skipped from now on."""
        self.recorded = before

    def more(self) -> Steps[None]:
        """Wait for more text. Raises EndedError when there will be none."""
        if self.is_closed:
            raise EndedError
        yield

    def peek(self) -> Steps[str]:
        """The next character, which stays unread."""
        while not self.rest:
            yield from self.more()
        return self.rest[0]

    def take(self, n_chars: int) -> str:
        """The next characters. REQUIRES: they are there."""
        taken, self.rest = self.rest[:n_chars], self.rest[n_chars:]
        self.recorded += taken
        return taken

    def skip_space(self) -> Steps[None]:
        while (yield from self.peek()) in SPACE:
            self.take(len(self.rest) - len(self.rest.lstrip(SPACE)))

    def expect(self, text: str) -> Steps[None]:
        """Skip `text`, whatever white space stands before or in it. Raises MalformedError."""
        for word in text.split():
            yield from self.skip_space()
            while len(self.rest) < len(word) and word.startswith(self.rest):
                yield from self.more()
            if not self.rest.startswith(word):
                raise MalformedError
            self.take(len(word))

    def until(self, tag: str, emit: Callable[[str], None]) -> Steps[None]:
        """Give everything before `tag` to `emit` as it comes, and skip the tag."""
        while True:
            at = self.rest.find(tag)
            if at >= 0:
                emit(self.take(at))
                self.take(len(tag))
                return
            emit(self.take(len(self.rest) - held_chars(self.rest, tag)))
            yield from self.more()

    def one_of(self, texts: list[str]) -> Steps[str]:
        """Skip whichever of `texts` comes next, as `expect` does. Returns it.

        REQUIRES: without white space none of them begins another.
        """
        bare = {"".join(text.split()): text for text in texts}
        longest = max(len(text) for text in bare)
        while True:
            seen = "".join(self.rest[: 4 * longest].split())
            for text, whole in bare.items():
                if seen.startswith(text):
                    yield from self.expect(whole)
                    return whole
            if not any(text.startswith(seen) for text in bare):
                raise MalformedError
            yield from self.more()


def held_chars(text: str, word: str) -> int:
    """The number of characters at the end of `text` that may begin `word`."""
    for n_chars in range(min(len(text), len(word) - 1), 0, -1):
        if word.startswith(text[-n_chars:]):
            return n_chars
    return 0
