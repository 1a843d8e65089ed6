"""Input for incremental parsers: generators that yield when they need more text.

A generator that needs more text yields; `feed` and `close` go on with it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from pyserve.openai.tools.formats import HOLE, split_at_marks

T = TypeVar("T")
Steps = Generator[None, None, T]
SPACE = " \t\r\n"
MAX_HOLE_CHARS = 256
MAX_PATTERNS = 1024
_NOTHING = "(?!)"
_BETWEEN_TAGS = re.compile(r"(?<=>)(?=<)")


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

    def unread(self, text: str) -> None:
        """Puts back what was taken last."""
        self.rest = text + self.rest
        self.recorded = self.recorded.removesuffix(text)

    def skip_space(self) -> Steps[None]:
        while (yield from self.peek()) in SPACE:
            self.take(len(self.rest) - len(self.rest.lstrip(SPACE)))

    def expect(self, text: str) -> Steps[list[str]]:
        """Skip `text`, whatever white space stands before or in it. Returns what is in its holes.

        Raises MalformedError.
        """
        first, *rest = text.split(HOLE)
        yield from self._expect_words(first)
        holes = []
        for part in rest:
            holes.append((yield from self.short_text(part.split()[0])))
            yield from self._expect_words(part)
        return holes

    def _expect_words(self, text: str) -> Steps[None]:
        for word in _words(text):
            yield from self.skip_space()
            while len(self.rest) < len(word) and word.startswith(self.rest):
                yield from self.more()
            if not self.rest.startswith(word):
                raise MalformedError
            self.take(len(word))

    def skip(self, text: str) -> Steps[bool]:
        """Skip `text` if it comes next, as `expect` does. Returns whether it did."""
        if not (yield from self.comes(text)):
            return False
        yield from self.expect(text)
        return True

    def comes(self, text: str) -> Steps[bool]:
        """Whether `text` comes next, up to its first hole, whatever white space is in it."""
        wanted = "".join(text.partition(HOLE)[0].split())
        n_chars = 4 * len(wanted) + 64  # enough, but for much white space
        while True:
            seen = "".join(self.rest[:n_chars].split())
            if wanted.startswith(seen) and len(self.rest) > n_chars:
                seen = "".join(self.rest.split())
            if seen.startswith(wanted):
                return True
            if not wanted.startswith(seen):
                return False
            yield from self.more()

    def short_text(self, *signs: str) -> Steps[str]:
        """The text before any of `signs`, which stays unread. Raises MalformedError if long."""
        while not any(sign in self.rest for sign in signs):
            if len(self.rest) > MAX_HOLE_CHARS:
                raise MalformedError
            yield from self.more()
        return self.take(min(self.rest.index(sign) for sign in signs if sign in self.rest))

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

    def until_any(self, marks: tuple[str, ...], emit: Callable[[str], None]) -> Steps[str]:
        """Give everything before the first of `marks` to `emit`, and skip it. Returns the mark.

        Where several begin at one place it is the longest.
        """
        mark, start = _patterns(marks)
        while True:
            rest = self.rest
            if rest and start.search(rest) is None:
                emit(self.take(len(rest)))
                yield from self.more()
                continue
            found = mark.search(rest)
            n_ready = len(rest) - max((held_chars(rest, each) for each in marks), default=0)
            if found is not None and (self.is_closed or n_ready > found.start()):
                emit(self.take(found.start()))
                return self.take(found.end() - found.start())
            emit(self.take(n_ready if found is None else min(n_ready, found.start())))
            yield from self.more()

    def one_of(self, texts: Sequence[str]) -> Steps[str]:
        """Skip whichever of `texts` comes next, as `expect` does. Returns it.

        Where one is nothing but white space, it is meant if no other one comes.
        """
        bare = {"".join(text.partition(HOLE)[0].split()): text for text in texts}
        signs = sorted(bare, key=len, reverse=True)
        longest = len(signs[0])
        while True:
            seen = "".join(self.rest[: 4 * longest + 64].split())
            for sign in signs:
                if seen.startswith(sign) and (sign or seen):
                    yield from self.expect(bare[sign])
                    return bare[sign]
                if sign.startswith(seen):
                    break
            else:
                raise MalformedError
            yield from self.more()


@functools.lru_cache(MAX_PATTERNS)
def _words(text: str) -> tuple[str, ...]:
    """The parts of `text` between which there may be white space."""
    return tuple(word for part in split_at_marks(text) for word in _BETWEEN_TAGS.split(part))


def held_chars(text: str, word: str) -> int:
    """The number of characters at the end of `text` that may begin `word`."""
    for n_chars in range(min(len(text), len(word) - 1), 0, -1):
        if word.startswith(text[-n_chars:]):
            return n_chars
    return 0


@functools.lru_cache(MAX_PATTERNS)
def _patterns(marks: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds the first and longest of `marks`, and what finds a character that begins one."""
    longest_first = sorted(marks, key=len, reverse=True)
    whole = "|".join(map(re.escape, longest_first)) or _NOTHING
    first = "|".join(sorted({re.escape(mark[0]) for mark in marks})) or _NOTHING
    return re.compile(whole), re.compile(first)
