"""Progress lines on terminals and elsewhere."""

from __future__ import annotations

import io

import pytest

from pyserve.models.download.progress import Progress, format_bytes


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def run(stream: io.StringIO, step_s: float) -> str:
    """A download of 10 MB in 10 steps, continued after the first one."""
    clock = Clock()
    progress = Progress("getting x", stream, total_bytes=10_000_000, clock=clock)
    for n_steps in range(1, 11):
        progress.update(n_steps * 1_000_000)
        clock.now_s += step_s
    progress.close()
    return stream.getvalue()


def test_a_terminal_has_one_live_line() -> None:
    text = run(Terminal(), step_s=1.0)
    assert text.count("\n") == 1
    assert "\r\x1b[Kgetting x: 5.0 MB of 10.0 MB (50%)" in text


def test_elsewhere_a_slow_download_has_a_few_plain_lines() -> None:
    lines = run(io.StringIO(), step_s=4.0).splitlines()
    assert lines[-1] == "getting x: 10.0 MB of 10.0 MB (100%), 225.0 kB/s"
    assert len(lines) == 4


def test_a_fast_download_has_its_last_line_only() -> None:
    assert len(run(io.StringIO(), step_s=0.01).splitlines()) == 1


def test_nothing_is_shown_before_the_first_byte() -> None:
    stream = io.StringIO()
    Progress("x", stream).close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98_362_432, "98.4 MB"), (5e9, "5.0 GB")],
)
def test_sizes_are_readable(n_bytes: float, text: str) -> None:
    assert format_bytes(n_bytes) == text
