"""Has the system run a thread as soon as it wakes up, although others compute on all cores."""

from __future__ import annotations

import contextlib
import ctypes
import platform

SHORT_NS = 100_000  # the shortest that the kernel grants
_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # sched_setattr, sched_getattr
_RESET_ON_FORK = 1  # of sched.h


class _Attributes(ctypes.Structure):
    """Source: sched_setattr(2)."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def slice_ns() -> int:
    """How long the calling thread may go on before others get their turn; 0: not known."""
    attributes = _attributes()
    return 0 if attributes is None else int(attributes.runtime_ns)


def run_soon(*, is_inherited: bool) -> None:
    """Give the calling thread short slices: it gets no more time, but gets it at once.

    Linux 6.12 and later let a thread with a shorter slice than the one that runs go first when it
    wakes up; until then it waits for the end of a slice of milliseconds, while an engine computes.
    Elsewhere this does nothing. is_inherited: by threads and processes that it starts.
    """
    attributes = _attributes()
    if attributes is None:
        return
    attributes.runtime_ns = SHORT_NS
    if not is_inherited:
        attributes.flags |= _RESET_ON_FORK
    set_call, _ = _CALLS[platform.machine()]
    ctypes.CDLL(None).syscall(set_call, 0, ctypes.byref(attributes), 0)


def _attributes() -> _Attributes | None:
    if platform.machine() not in _CALLS:
        return None
    attributes = _Attributes()
    size = ctypes.sizeof(attributes)
    _, get_call = _CALLS[platform.machine()]
    with contextlib.suppress(AttributeError):  # there is no `syscall`
        if ctypes.CDLL(None).syscall(get_call, 0, ctypes.byref(attributes), size, 0) == 0:
            return attributes
    return None
