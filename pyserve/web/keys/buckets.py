"""What API keys may use of in a time: buckets that fill evenly, common to all front workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from pyserve.errors import InsufficientQuotaError, RateLimitError
from pyserve.web.keys.keys import ApiKey
from pyserve.web.keys.shared_counts import SharedCounts

MINUTE_S = 60.0
DAY_S = 86_400.0
ROUNDING = 1e-3  # of what is counted, over sums of seconds


class Quota(NamedTuple):
    """The rest of what a key may use; reset_s: until all of it is available again."""

    limit: int
    n_left: int
    reset_s: float


class Bucket(NamedTuple):
    """`limit` may be used in `window_s` seconds. name: that of its number in the counts.

    what: as in "used its 60 requests per minute". error: what is raised when it is empty.
    """

    name: bytes
    limit: int
    window_s: float
    what: str
    error: type[RateLimitError] = RateLimitError


def request_buckets(key: ApiKey) -> list[Bucket]:
    """The bucket of the key's requests, if they are limited."""
    limit = key.requests_per_minute
    return [] if limit is None else [Bucket(key.digest, limit, MINUTE_S, "requests per minute")]


def token_buckets(key: ApiKey) -> list[Bucket]:
    """Those of its tokens, that of a minute first."""
    found = []
    if key.tokens_per_minute is not None:
        name = _name(key, b"tokens per minute")
        found.append(Bucket(name, key.tokens_per_minute, MINUTE_S, "tokens per minute"))
    if key.tokens_per_day is not None:
        name = _name(key, b"tokens per day")
        error = InsufficientQuotaError
        found.append(Bucket(name, key.tokens_per_day, DAY_S, "tokens per day", error))
    return found


def _name(key: ApiKey, kind: bytes) -> bytes:
    return hashlib.sha256(kind + key.digest).digest()


class Buckets:
    """The levels of buckets. In the counts is the time at which a bucket is full again.

    clock: seconds, the same in all processes. Methods are called inside `counts.locked`. Any
    thread.
    """

    def __init__(self, counts: SharedCounts, clock: Callable[[], float]) -> None:
        self._counts = counts
        self._clock = clock

    def quota(self, bucket: Bucket) -> Quota:
        reset_s = self._reset_s(bucket)
        return Quota(bucket.limit, int(self._n_left(bucket) + ROUNDING), reset_s)

    def check(self, bucket: Bucket, n: int = 1) -> None:
        """Raises the bucket's error with `retry_after_s` unless `n` are left."""
        n_left = self._n_left(bucket)
        if n_left + ROUNDING >= n:
            return
        asked = "" if n == 1 else f": {n:,} are needed, {int(n_left):,} are left"
        raise bucket.error(
            f"this API key has used its {bucket.limit} {bucket.what}{asked}",
            retry_after_s=(n - n_left) * bucket.window_s / bucket.limit,
        )

    def take(self, bucket: Bucket, n: int) -> float:
        """Take `n`, also more than are left; returns the time at which they are back."""
        full_at = self._clock() + self._reset_s(bucket) + n * bucket.window_s / bucket.limit
        self._counts.set_number(bucket.name, full_at)
        return full_at

    def give_back(self, bucket: Bucket, n: int, back_at: float) -> None:
        """Give back `n` of what `take` took, but not what has come back by itself since."""
        seconds = min(n * bucket.window_s / bucket.limit, max(back_at - self._clock(), 0.0))
        self._counts.set_number(bucket.name, self._counts.number(bucket.name) - seconds)

    def _n_left(self, bucket: Bucket) -> float:
        n_used = self._reset_s(bucket) * bucket.limit / bucket.window_s
        return max(bucket.limit - n_used, 0.0)

    def _reset_s(self, bucket: Bucket) -> float:
        return max(self._counts.number(bucket.name) - self._clock(), 0.0)
