"""Progress lines on terminals and elsewhere."""

from __future__ import annotations

import io

import pytest

from pyserve.models.download.progress import ProgressLine, format_bytes
from tests.support.clocks import Clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO, *, total_bytes: int | None = 10_000_000) -> str:
    """A download of 10 MB in 10 steps of a second, continued after the first one."""
    clock = Clock()
    progress = ProgressLine("x.gguf", stream, total_bytes=total_bytes, clock=clock)
    for n_steps in range(1, 11):
        progress.update(n_steps * 1_000_000)
        clock.now_s += 1.0
    progress.close()
    return stream.getvalue()


def test_a_terminal_has_one_live_line() -> None:
    text = run(Terminal())
    assert text.count("\n") == 1
    assert " 50%  5.0 MB of 10.0 MB, 1.0 MB/s" in text
    assert "100%  10.0 MB of 10.0 MB, 1.0 MB/s" in text.split("\r")[-1]


def test_a_download_of_unknown_size_shows_what_has_come() -> None:
    assert "]  5.0 MB, 1.0 MB/s" in run(Terminal(), total_bytes=None)


def test_a_download_that_begins_anew_goes_back() -> None:
    stream = Terminal()
    progress = ProgressLine("x.gguf", stream, total_bytes=4_000_000)
    for n_bytes in (3_000_000, 1_000_000, 2_000_000):
        progress.update(n_bytes)
    assert " 50%  2.0 MB of 4.0 MB" in stream.getvalue().split("\r")[-1]


def test_elsewhere_nothing_is_shown() -> None:
    assert run(io.StringIO()) == ""


def test_nothing_is_shown_before_the_first_byte() -> None:
    stream = Terminal()
    ProgressLine("x", stream).close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98_362_432, "98.4 MB"), (5e9, "5.0 GB")],
)
def test_sizes_are_readable(n_bytes: float, text: str) -> None:
    assert format_bytes(n_bytes) == text
