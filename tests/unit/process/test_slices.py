"""Threads with short slices, and those that they start."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyserve.process.slices import SHORT_NS, run_soon, slice_ns


def slices_of(is_inherited: bool) -> tuple[int, int]:
    """Of a thread that asked for short ones, and of one that it started then."""
    run_soon(is_inherited=is_inherited)
    with ThreadPoolExecutor(1) as pool:
        return slice_ns(), pool.submit(slice_ns).result()


@pytest.mark.parametrize("is_inherited", [True, False])
def test_short_slices_are_those_of_a_thread_and_at_wish_of_its_own(is_inherited):
    usual = slice_ns()
    if usual == 0:
        pytest.skip("this kernel has no slices of one's own")
    with ThreadPoolExecutor(1) as pool:
        own, started = pool.submit(slices_of, is_inherited).result()
    assert (own, started) == (SHORT_NS, SHORT_NS if is_inherited else usual)
    assert slice_ns() == usual, threading.current_thread()
