"""Markdown that is shown while it comes: finished blocks stay, the last one is drawn anew."""

from __future__ import annotations

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

DRAWINGS_PER_S = 12
_parser = MarkdownIt().enable(["table", "strikethrough"])


class StreamedMarkdown:
    """Shows a text that grows. REQUIRES: `end` is called."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ""
        self._has_blocks = False
        self._live = Live(
            console=console, auto_refresh=False, transient=True, vertical_overflow="visible"
        )
        self._live.start()

    def feed(self, text: str) -> None:
        done, self._open = split_blocks(self._open + text)
        if done.strip():
            self._live.update(Tail(""), refresh=True)
            self._print(done)
        self._live.update(Tail(self._open), refresh=True)

    def end(self) -> None:
        self._live.update(Tail(""), refresh=True)
        self._live.stop()
        if self._open.strip():
            self._print(self._open)

    def _print(self, text: str) -> None:
        if self._has_blocks:
            self._console.print()
        self._has_blocks = True
        self._console.print(Markdown(text))


class Tail:
    """As many of the last lines as the screen has room for: more could not be drawn again."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._text.strip():
            return
        lines = console.render_lines(Markdown(self._text), options, pad=False)
        for line in lines[-max(1, console.height - 2) :]:
            yield from line
            yield Segment.line()


def split_blocks(text: str) -> tuple[str, str]:
    """The blocks that nothing can change any more, and the last one, which still grows."""
    starts = [token.map[0] for token in _parser.parse(text) if token.map and token.level == 0]
    if not starts:
        return "", text
    lines = text.splitlines(keepends=True)
    last = max(starts)
    return "".join(lines[:last]), "".join(lines[last:])
