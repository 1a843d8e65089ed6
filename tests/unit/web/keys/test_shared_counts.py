"""Two processes that count together, and one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pyserve.errors import RateLimitError
from pyserve.web.keys.keys import ApiKey, digest_of
from pyserve.web.keys.limits import KeyLimits
from pyserve.web.keys.shared_counts import SharedCounts, create_memory

KEY = ApiKey(name="k", digest=digest_of("k"), max_concurrency=3, requests_per_minute=10)
OTHER = ApiKey(name="other", digest=digest_of("other"), max_concurrency=1)
OTHER_PROCESS = """
import sys
from pyserve.errors import RateLimitError
from pyserve.web.keys.limits import KeyLimits
from pyserve.web.keys.keys import ApiKey, digest_of
from pyserve.web.keys.shared_counts import SharedCounts
limits = KeyLimits(counts=SharedCounts(int(sys.argv[1])))
key = ApiKey(name="k", digest=digest_of("k"), max_concurrency=3, requests_per_minute=10)
releases = []
for line in sys.stdin:
    try:
        releases.append(limits.acquire(key)) if line == "acquire\\n" else releases.pop()()
        print("done", flush=True)
    except RateLimitError as error:
        print(error.message, flush=True)
"""


@pytest.fixture
def memory():
    fd = create_memory()
    yield fd
    os.close(fd)


@pytest.fixture
def limits(memory):
    return KeyLimits(counts=SharedCounts(memory))


@contextmanager
def other_process(memory):
    """Yields what tells it to `acquire` or `release`, and its process."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(memory)],
        pass_fds=[memory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def tell(word):
        process.stdin.write(word + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    with process:
        try:
            yield tell, process
        finally:
            process.kill()


def test_two_processes_have_one_limit(memory, limits):
    with other_process(memory) as (tell, _):
        assert tell("acquire") == "done"
        assert tell("acquire") == "done"
        release = limits.acquire(KEY)
        assert "3 requests in work" in tell("acquire")
        with pytest.raises(RateLimitError, match="3 requests in work"):
            limits.acquire(KEY)
        limits.acquire(OTHER)  # has its own
        assert tell("release") == "done"
        limits.acquire(KEY)
        release()
        assert tell("acquire") == "done"


def test_a_killed_process_gives_back_its_places_and_not_its_minute(memory, limits):
    with other_process(memory) as (tell, process):
        for _ in range(3):
            assert tell("acquire") == "done"
        with pytest.raises(RateLimitError):
            limits.acquire(KEY)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert limits.quota(KEY).n_left in (7, 8)
        limits.acquire(KEY)


def test_the_successor_of_a_killed_process_begins_with_nothing(memory, limits):
    for _ in range(2):
        with other_process(memory) as (tell, _):
            assert [tell("acquire") for _ in range(3)] == ["done"] * 3
    limits.acquire(KEY)


def test_a_process_killed_between_reading_and_writing_blocks_nobody(memory, limits):
    pid = os.fork()
    if pid == 0:
        with SharedCounts(memory).locked():
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    limits.acquire(KEY)


def test_the_minute_is_counted_together(memory, limits):
    with other_process(memory) as (tell, _):
        for _ in range(5):
            limits.acquire(KEY)()
            assert tell("acquire") == "done"
            assert tell("release") == "done"
        assert "its 10 requests per minute" in tell("acquire")
        with pytest.raises(RateLimitError, match="10 requests per minute"):
            limits.acquire(KEY)


def test_the_share_of_a_process_is_its_own(memory):
    limits = KeyLimits(n_most=2, counts=SharedCounts(memory))
    with other_process(memory) as (tell, _):
        assert tell("acquire") == "done"
        limits.acquire(KEY)
        limits.acquire(KEY)
        with pytest.raises(RateLimitError, match="its limit is 2"):
            limits.acquire(KEY)


@pytest.mark.parametrize("limit", [1, 7, 60, 1000, 1_000_000])
def test_every_request_of_a_minute_is_counted_whole(limit):
    now = [123_456.789]
    limits = KeyLimits(lambda: now[0])
    key = ApiKey(name="k", digest=digest_of("k"), requests_per_minute=limit)
    for n_used in range(1, min(limit, 2000) + 1):
        limits.acquire(key)()
        assert limits.quota(key).n_left == limit - n_used
    if limit <= 1000:
        with pytest.raises(RateLimitError):
            limits.acquire(key)
    now[0] += 60
    assert limits.quota(key) == pytest.approx((limit, limit, 0.0), abs=1e-6)
