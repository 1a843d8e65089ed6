"""Rate limits of API keys: concurrent requests, and requests per minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pyserve.errors import RateLimitError
from pyserve.web.keys.keys import ApiKey
from pyserve.web.keys.shared_counts import SharedCounts

MINUTE_S = 60.0
ROUNDING = 1e-3  # of requests, over sums of seconds


class Quota(NamedTuple):
    """The rest of a key's requests per minute; reset_s: until all of them are available again."""

    limit: int
    n_left: int
    reset_s: float


class KeyLimits:
    """Counts the requests of each key in `counts`, for all processes that share these.

    For the rate, `counts` has the time at which a key's full quota is available again.
    clock: seconds, the same in all processes. n_most: requests at once in this process, of any key.
    Any thread may call any method.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        n_most: int | None = None,
        counts: SharedCounts | None = None,
    ) -> None:
        self._clock = clock
        self._n_most = n_most
        self._counts = SharedCounts() if counts is None else counts

    def acquire(self, key: ApiKey) -> Callable[[], None]:
        """Count a request against the key's rate and concurrency; returns what ends the latter.

        Raises RateLimitError with `retry_after_s`, and takes nothing then.
        """
        with self._counts.locked():
            self._check_places(key)
            self._check_minute(key)
            self._take(key)
        return partial(self._counts.give_back, key.digest)

    def check(self, key: ApiKey) -> None:
        """Raises the error that `acquire` would raise now."""
        with self._counts.locked():
            self._check_places(key)
            self._check_minute(key)

    def quota(self, key: ApiKey) -> Quota | None:
        """The rest of the key's quota; None: it has no limit."""
        limit = key.requests_per_minute
        if limit is None:
            return None
        with self._counts.locked():
            reset_s = self._reset_s(key)
        return Quota(limit, int(_left(limit, reset_s) + ROUNDING), reset_s)

    def _check_places(self, key: ApiKey) -> None:
        held_and_limits = []
        if self._n_most is not None:
            held_and_limits.append((self._counts.n_here(key.digest), self._n_most))
        if key.max_concurrency is not None:
            held_and_limits.append((self._counts.n_held(key.digest), key.max_concurrency))
        for n_held, limit in held_and_limits:
            if n_held >= limit:
                raise RateLimitError(
                    f"this API key has {n_held} requests in work, its limit is {limit}",
                    retry_after_s=1,
                )

    def _check_minute(self, key: ApiKey) -> None:
        limit = key.requests_per_minute
        if limit is None:
            return
        n_left = _left(limit, self._reset_s(key))
        if n_left + ROUNDING < 1:
            raise RateLimitError(
                f"this API key has used its {limit} requests per minute",
                retry_after_s=(1 - n_left) * MINUTE_S / limit,
            )

    def _take(self, key: ApiKey) -> None:
        self._counts.hold(key.digest)
        if key.requests_per_minute is not None:
            again_at = self._clock() + self._reset_s(key) + MINUTE_S / key.requests_per_minute
            self._counts.set_number(key.digest, again_at)

    def _reset_s(self, key: ApiKey) -> float:
        return max(self._counts.number(key.digest) - self._clock(), 0.0)


def _left(limit: int, reset_s: float) -> float:
    """The quota when all of `limit` requests are available again in `reset_s`."""
    return max(limit - reset_s * limit / MINUTE_S, 0.0)
