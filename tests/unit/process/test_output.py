"""Output that nobody takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pyserve.process.output import LossyOutput

MORE_THAN_A_PIPE = "x" * (1 << 20)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def read_all(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    try:
        while part := os.read(fd, 1 << 20):
            data += part
    except BlockingIOError:
        pass
    return data


def test_text_goes_through(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    print("a \udcff ü", file=LossyOutput(writer))
    assert read_all(reader) == "a \\udcff ü\n".encode()


def test_a_pipe_that_nobody_reads_stops_nobody(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = LossyOutput(writer)
    for _ in range(100):
        output.write(MORE_THAN_A_PIPE)
    assert os.get_blocking(writer)  # others share it
    read_all(reader)
    output.write("again\n")
    assert read_all(reader) == b"\n(100 pieces of output were lost)\nagain\n"


def test_a_full_disk_stops_nobody() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        assert LossyOutput(fd).write("lost") == len("lost")
    finally:
        os.close(fd)


def test_closed_output_becomes_dev_null() -> None:
    code = (
        "import os; from pyserve.process.output import protect_output; protect_output();"
        "fd = os.open('/etc/hostname', os.O_RDONLY); print('lost'); os._exit(fd)"
    )
    closed = f'exec {sys.executable} -c "{code}" 0<&- 1>&- 2>&-'
    assert subprocess.run(["bash", "-c", closed], check=False).returncode > 2
