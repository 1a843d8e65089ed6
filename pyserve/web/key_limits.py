"""How much one API key may ask for: requests at once, and requests per minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from pyserve.errors import RateLimitError
from pyserve.web.keys import ApiKey

MINUTE_S = 60.0


class Quota(NamedTuple):
    """What is left of a key's requests per minute; reset_s: until all of them are there again."""

    limit: int
    n_left: int
    reset_s: float


class KeyLimits:
    """Counts the requests of each key in this process. Any thread may call any method.

    n_most: requests at once of a key that has no lower limit of its own; None = any number.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, n_most: int | None = None
    ) -> None:
        self._clock = clock
        self._n_most = n_most
        self._lock = threading.Lock()
        self._n_held: dict[bytes, int] = {}
        self._buckets: dict[bytes, tuple[float, float]] = {}  # requests left, at that time

    def acquire(self, key: ApiKey) -> Callable[[], None]:
        """Take one request of the key's quota and one of its places; returns what gives it back.

        Raises RateLimitError with `retry_after_s`, and takes nothing then.
        """
        with self._lock:
            n_held = self._n_held.get(key.digest, 0)
            limits = [n for n in (key.max_concurrency, self._n_most) if n is not None]
            if limits and n_held >= min(limits):
                raise RateLimitError(
                    f"this API key has {n_held} requests in work, its limit is {min(limits)}",
                    retry_after_s=1,
                )
            self._take(key)
            self._n_held[key.digest] = n_held + 1
        return lambda: self._release(key)

    def quota(self, key: ApiKey) -> Quota | None:
        """What the key has left; None: it has no limit."""
        if key.requests_per_minute is None:
            return None
        with self._lock:
            n_left = self._left(key, key.requests_per_minute)
        missing = key.requests_per_minute - n_left
        reset_s = missing * MINUTE_S / key.requests_per_minute
        return Quota(key.requests_per_minute, int(n_left), reset_s)

    def _take(self, key: ApiKey) -> None:
        limit = key.requests_per_minute
        if limit is None:
            return
        n_left = self._left(key, limit)
        if n_left < 1:
            raise RateLimitError(
                f"this API key has used its {limit} requests per minute",
                retry_after_s=(1 - n_left) * MINUTE_S / limit,
            )
        self._buckets[key.digest] = (n_left - 1, self._clock())

    def _left(self, key: ApiKey, limit: int) -> float:
        now = self._clock()
        n_left, since = self._buckets.get(key.digest, (float(limit), now))
        return min(float(limit), n_left + (now - since) * limit / MINUTE_S)

    def _release(self, key: ApiKey) -> None:
        with self._lock:
            self._n_held[key.digest] -= 1
