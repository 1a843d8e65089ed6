"""Counters in shared memory, common to all front workers of one server.

The memory is a row of slots, one for each name, in the order in which they came:

    name | a number of all processes | what process 0 holds | what process 1 holds | ...

A process owns the column whose lock it has; the kernel drops that lock when it ends, however it
ends, and what it held is forgotten. Another lock keeps readings and changes together.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pyserve.errors import UnavailableError

N_PROCESSES = 128
N_NAMES = 16384  # of limits, up to three a key; those of keys that were replaced remain
NAME_BYTES = 32
NUMBER_BYTES = 8
HELD_BYTES = 4
SLOT_BYTES = NAME_BYTES + NUMBER_BYTES + N_PROCESSES * HELD_BYTES
SIZE_BYTES = N_NAMES * SLOT_BYTES
EMPTY = bytes(NAME_BYTES)
LOCK_OF_ALL = 0  # a byte of the file to be locked; those that follow are the processes'


def create_memory() -> int:
    """A file descriptor of fresh memory for `SharedCounts`; unused parts take no pages."""
    fd = os.memfd_create("pyserve-counts", os.MFD_CLOEXEC)
    os.ftruncate(fd, SIZE_BYTES)
    return fd


class SharedCounts:
    """Counts by name, summed over all processes that use the same descriptor.

    fd: as `create_memory` gives it, inherited by fork; must stay open. None: of this process alone.
    REQUIRES: one object for each descriptor in a process, made after the fork.
    Methods are called inside `locked`, but for itself and `give_back`. Any thread.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._fd = fd
        self._map = mmap.mmap(-1 if fd is None else fd, SIZE_BYTES)
        memory = memoryview(self._map)
        self._numbers, self._held = memory.cast("d"), memory.cast("I")
        self._slots: dict[bytes, int] = {}
        self._thread_lock = threading.Lock()
        self._column = 0
        with self.locked():
            self._column = self._claim()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock on all counts, in every process."""
        with self._thread_lock:
            if self._fd is None:
                yield
                return
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, LOCK_OF_ALL)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, LOCK_OF_ALL)

    def n_here(self, name: bytes) -> int:
        """This process's count."""
        return self._held[self._first(name) + self._column]

    def n_held(self, name: bytes) -> int:
        """The sum of the counts of all living processes."""
        first = self._first(name)
        held = self._held[first : first + N_PROCESSES].tolist()
        for column, n in enumerate(held):
            if n and column != self._column and self._try_column(column):
                self._leave_column(column)
                self._held[first + column] = held[column] = 0
        return sum(held)

    def hold(self, name: bytes) -> None:
        """Raise this process's count by one."""
        self._held[self._first(name) + self._column] += 1

    def give_back(self, name: bytes) -> None:
        """Lower this process's count by one; never waits for another process. Not in `locked`."""
        with self._thread_lock:
            self._held[self._first(name) + self._column] -= 1

    def number(self, name: bytes) -> float:
        """The number that any process set last; 0 at first."""
        return self._numbers[(self._slot(name) + NAME_BYTES) // NUMBER_BYTES]

    def set_number(self, name: bytes, value: float) -> None:
        self._numbers[(self._slot(name) + NAME_BYTES) // NUMBER_BYTES] = value

    def _first(self, name: bytes) -> int:
        """The index of the first process's count."""
        return (self._slot(name) + NAME_BYTES + NUMBER_BYTES) // HELD_BYTES

    def _slot(self, name: bytes) -> int:
        """The offset of the name's slot in the memory; a new name takes a free one."""
        slot = self._slots.get(name)
        if slot is None:
            slot = next((at for at, found in self._used() if found in (name, EMPTY)), None)
            if slot is None:
                message = f"{N_NAMES} limits of API keys were in use: restart the server"
                raise UnavailableError(message)
            self._map[slot : slot + NAME_BYTES] = name
            self._slots[name] = slot
        return slot

    def _used(self) -> Iterator[tuple[int, bytes]]:
        """All slots that have a name, and the first one that has none."""
        for slot in range(0, SIZE_BYTES, SLOT_BYTES):
            name = self._map[slot : slot + NAME_BYTES]
            yield slot, name
            if name == EMPTY:
                return

    def _claim(self) -> int:
        """Take over a process's column, with zero counts."""
        column = next(filter(self._try_column, range(N_PROCESSES)), None)
        if column is None:
            raise UnavailableError(f"there are more than {N_PROCESSES} front workers")
        for slot, _ in self._used():
            self._held[(slot + NAME_BYTES + NUMBER_BYTES) // HELD_BYTES + column] = 0
        return column

    def _try_column(self, column: int) -> bool:
        """Try to lock the column of a process; whether it was free."""
        if self._fd is None:
            return True
        with suppress(BlockingIOError, PermissionError):
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCK_OF_ALL + 1 + column)
            return True
        return False

    def _leave_column(self, column: int) -> None:
        if self._fd is not None:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, LOCK_OF_ALL + 1 + column)
