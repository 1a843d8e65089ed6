"""Shows answers: Markdown on a terminal, the bare text elsewhere."""

from __future__ import annotations

import sys
import termios
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from pyserve.cli.run.markdown import StreamedMarkdown


@dataclass
class Answer:
    """What came of an answer. is_stopped: by the user; then n_pieces is about its tokens."""

    content: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    is_stopped: bool = False
    n_pieces: int = 0
    ignored: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    first: float = 0.0
    last: float = 0.0

    def numbers(self) -> str:
        """Tokens, their rate, and the wait for the first."""
        n = int(self.usage.get("completion_tokens", 0))
        about = "" if n else "about "
        n = n or self.n_pieces
        parts = [f"{about}{n} tokens"] if n else []
        if n > 1 and self.last > self.first:
            parts.append(f"{(n - 1) / (self.last - self.first):.1f} tokens/s")
        if self.first:
            parts.append(f"first after {self.first - self.started:.2f} s")
        if self.finish_reason == "length":
            parts.append("ended by the limit of tokens")
        if self.is_stopped:
            parts.append("stopped")
        return " · ".join(parts)


@contextmanager
def unseen_input(terminal: TextIO) -> Iterator[None]:
    """What is typed there meanwhile is not shown; whoever reads next gets it."""
    if not terminal.isatty():
        yield
        return
    fd = terminal.fileno()
    before = termios.tcgetattr(fd)
    quiet = list(before)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(fd, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class Screen:
    """out: where answers go; what is said about them goes to stderr. as_markdown: on a terminal."""

    def __init__(self, *, as_markdown: bool = False, verbose: bool = False) -> None:
        self._out = Console()
        self._err = Console(stderr=True)
        self._as_markdown = as_markdown and self._out.is_terminal
        self._verbose = verbose

    @property
    def is_terminal(self) -> bool:
        return self._out.is_terminal

    def say(self, text: str, style: str = "dim") -> None:
        self._err.print(Text(text, style=style))

    def show(self, chunks: Generator[Any]) -> Answer:
        """Show an answer while it comes; Ctrl-C stops it. Raises what the chunks raise."""
        answer = Answer()
        view: StreamedMarkdown | None = None
        try:
            with closing(chunks), unseen_input(sys.stdin):
                for chunk in chunks:
                    text = self._take(answer, chunk)
                    if text and self._as_markdown:
                        view = view or StreamedMarkdown(self._out)
                        view.feed(text)
                    elif text:
                        self._write(text)
        except KeyboardInterrupt:
            answer.is_stopped = True
        finally:
            if view is not None:
                view.end()
        if view is None and not answer.content.endswith("\n"):
            self._write("\n")
        if self._verbose and (numbers := answer.numbers()):
            self.say(numbers)
        return answer

    def _take(self, answer: Answer, chunk: Any) -> str:
        """Adds a chunk; returns the text to show."""
        answer.ignored += chunk.get("ignored", [])
        answer.usage = chunk.get("usage") or answer.usage
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta", {})
            thought, text = delta.get("reasoning_content") or "", delta.get("content") or ""
            answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
            if thought or text:
                answer.n_pieces += 1
                answer.last = time.monotonic()
                answer.first = answer.first or answer.last
            if thought and self.is_terminal:
                self._out.print(Text(thought, style="dim italic"), end="")
            if text and answer.reasoning and not answer.content and self.is_terminal:
                self._out.print("\n")
            answer.reasoning += thought
            answer.content += text
            return str(text)
        return ""

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
