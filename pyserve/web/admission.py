"""The right to begin the current request: within the limits of its key, and of the process."""

from __future__ import annotations

from pyserve.web.access import take_place
from pyserve.web.limits import Permit
from pyserve.web.services import services


def admit() -> Permit:
    """Never waits. Raises RateLimitError, or QueueFullError when the process is busy."""
    give_back = take_place()
    try:
        return services().stream_limit.acquire(give_back)
    except BaseException:
        give_back()
        raise
