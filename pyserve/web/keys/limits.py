"""Rate limits of API keys: concurrent requests, requests per minute, tokens per minute and day."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from pyserve.errors import RateLimitError
from pyserve.web.keys.buckets import Bucket, Buckets, Quota, request_buckets, token_buckets
from pyserve.web.keys.keys import ApiKey
from pyserve.web.keys.shared_counts import SharedCounts


class KeyLimits:
    """Counts the requests of each key in `counts`, for all processes that share these.

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
        self._n_most = n_most
        self._counts = SharedCounts() if counts is None else counts
        self._buckets = Buckets(self._counts, clock)
        self._n_followed: Counter[bytes] = Counter()

    def acquire(self, key: ApiKey) -> Callable[[], None]:
        """Count a request against the key's rate and concurrency; returns what ends the latter.

        Raises RateLimitError with `retry_after_s`, and takes nothing then.
        """
        with self._counts.locked():
            self._check(key, request_buckets(key))
            self._counts.hold(key.digest)
            for bucket in request_buckets(key):
                self._buckets.take(bucket, 1)
        return partial(self._counts.give_back, key.digest)

    def follow(self, key: ApiKey) -> Callable[[], None]:
        """Count a stream of what another request of the key computes; returns what ends it.

        It is one of the requests at once in this process, and counts against nothing else.
        Raises RateLimitError with `retry_after_s`, and takes nothing then.
        """
        with self._counts.locked():
            self._check_share(key)
            self._n_followed[key.digest] += 1
        return partial(self._unfollow, key.digest)

    def _unfollow(self, name: bytes) -> None:
        with self._counts.locked():
            self._n_followed[name] -= 1

    def check(self, key: ApiKey) -> None:
        """Raises the error that `acquire`, or `reserve` of a single token, would raise now."""
        with self._counts.locked():
            self._check(key, request_buckets(key) + token_buckets(key))

    def reserve(self, key: ApiKey, n_prompt: int, n_answer: int) -> Callable[[int], None]:
        """Take the tokens of a request's prompts and longest answers; returns what settles them.

        An answer that may be longer than the limit takes all of it. Settling takes the number of
        tokens that were used, once.
        Raises RateLimitError with `retry_after_s`, and takes nothing then.
        """
        buckets = token_buckets(key)
        wanted = [min(n_prompt + n_answer, max(each.limit, n_prompt)) for each in buckets]
        with self._counts.locked():
            for bucket, n in zip(buckets, wanted, strict=True):
                self._buckets.check(bucket, n)
            taken = [
                (bucket, n, self._buckets.take(bucket, n))
                for bucket, n in zip(buckets, wanted, strict=True)
            ]

        def settle(n_used: int) -> None:
            with self._counts.locked():
                for bucket, n, back_at in taken:
                    if n_used > n:
                        self._buckets.take(bucket, n_used - n)
                    else:
                        self._buckets.give_back(bucket, n - n_used, back_at)

        return settle

    def quota(self, key: ApiKey) -> Quota | None:
        """The rest of the key's requests of a minute; None: they are not limited."""
        return self._quota(request_buckets(key))

    def token_quota(self, key: ApiKey) -> Quota | None:
        """The rest of its tokens of a minute, or else of a day; None: they are not limited."""
        return self._quota(token_buckets(key))

    def _quota(self, buckets: list[Bucket]) -> Quota | None:
        if not buckets:
            return None
        with self._counts.locked():
            return self._buckets.quota(buckets[0])

    def _check(self, key: ApiKey, buckets: list[Bucket]) -> None:
        self._check_places(key)
        for bucket in buckets:
            self._buckets.check(bucket)

    def _check_places(self, key: ApiKey) -> None:
        self._check_share(key)
        if key.max_concurrency is not None:
            _check_count(self._counts.n_held(key.digest), key.max_concurrency)

    def _check_share(self, key: ApiKey) -> None:
        """Of this process's requests."""
        if self._n_most is not None:
            n_here = self._counts.n_here(key.digest) + self._n_followed[key.digest]
            _check_count(n_here, self._n_most)


def _check_count(n_held: int, limit: int) -> None:
    if n_held >= limit:
        raise RateLimitError(
            f"this API key has {n_held} requests in work, its limit is {limit}", retry_after_s=1
        )
