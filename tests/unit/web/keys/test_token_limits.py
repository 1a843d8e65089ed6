"""Tokens per minute and day: reserved, settled, and given back only once."""

from __future__ import annotations

import pytest

from pyserve.errors import InsufficientQuotaError, RateLimitError
from pyserve.web.keys.keys import ApiKey, digest_of
from pyserve.web.keys.limits import KeyLimits
from pyserve.web.keys.shared_counts import SharedCounts, create_memory
from tests.support.clocks import Clock

MINUTE, DAY = 60.0, 86_400.0


@pytest.fixture
def clock():
    clock = Clock()
    clock.now_s = 1000.0
    return clock


@pytest.fixture
def limits(clock):
    return KeyLimits(clock)


def key_with(**limits) -> ApiKey:
    return ApiKey(name="k", digest=digest_of("sk-some-key"), **limits)


PER_MINUTE = key_with(tokens_per_minute=600)


def test_what_was_not_used_is_given_back(limits):
    settle = limits.reserve(PER_MINUTE, 100, 400)
    assert limits.token_quota(PER_MINUTE) == (600, 100, 50.0)
    settle(150)
    assert limits.token_quota(PER_MINUTE) == (600, 450, 15.0)


def test_what_was_used_beyond_it_is_taken_too(limits):
    limits.reserve(PER_MINUTE, 100, 100)(700)
    quota = limits.token_quota(PER_MINUTE)
    assert (quota.n_left, quota.reset_s) == (0, 70.0)
    limits.acquire(PER_MINUTE)  # for a request that uses no tokens
    with pytest.raises(RateLimitError) as caught:
        limits.check(PER_MINUTE)
    assert caught.value.details["retry_after_s"] == pytest.approx(0.1)


def test_more_than_is_left_is_refused_and_takes_nothing(limits, clock):
    settle = limits.reserve(PER_MINUTE, 100, 400)
    with pytest.raises(RateLimitError, match="150 are needed, 100 are left") as caught:
        limits.reserve(PER_MINUTE, 50, 100)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.details["retry_after_s"] == pytest.approx(5)
    clock.now_s += 5
    limits.reserve(PER_MINUTE, 50, 100)
    settle(500)


def test_an_answer_without_limit_takes_the_whole_minute_and_no_more(limits):
    settle = limits.reserve(PER_MINUTE, 10, 8000)
    assert limits.token_quota(PER_MINUTE).n_left == 0
    settle(20)
    assert limits.token_quota(PER_MINUTE).n_left == 580
    with pytest.raises(RateLimitError):
        limits.reserve(PER_MINUTE, 601, 0)  # a prompt that never fits


def test_what_has_come_back_by_itself_is_not_given_back_again(limits, clock):
    settle = limits.reserve(PER_MINUTE, 100, 500)
    clock.now_s += MINUTE
    other = limits.reserve(PER_MINUTE, 100, 500)
    settle(100)
    assert limits.token_quota(PER_MINUTE).n_left == 0
    other(600)


def test_a_day_has_its_own_code_and_both_limits_hold(limits, clock):
    key = key_with(tokens_per_minute=600, tokens_per_day=1000)
    limits.reserve(key, 100, 500)(600)
    clock.now_s += MINUTE
    with pytest.raises(InsufficientQuotaError, match="1000 tokens per day") as caught:
        limits.reserve(key, 100, 400)
    assert caught.value.code == "insufficient_quota"
    assert limits.token_quota(key).n_left == 600  # nothing was taken of the minute
    per_day = key_with(tokens_per_day=1000)
    assert limits.token_quota(per_day).limit == 1000
    clock.now_s += DAY
    assert limits.token_quota(per_day).n_left == 1000


def test_other_keys_and_requests_are_counted_apart(limits):
    both = key_with(requests_per_minute=2, tokens_per_minute=600)
    limits.acquire(both)
    limits.reserve(both, 100, 0)
    assert limits.quota(both).n_left == 1
    assert limits.token_quota(both).n_left == 500
    other = ApiKey(name="o", digest=digest_of("sk-other-key"), tokens_per_minute=600)
    assert limits.token_quota(other).n_left == 600


def test_a_key_without_limits_reserves_nothing(limits):
    free = key_with()
    limits.reserve(free, 10**9, 10**9)(5)
    assert limits.token_quota(free) is None


def test_workers_count_together(clock):
    memory = create_memory()
    one, other = (KeyLimits(clock, counts=SharedCounts(memory)) for _ in range(2))
    settle = one.reserve(PER_MINUTE, 100, 400)
    with pytest.raises(RateLimitError):
        other.reserve(PER_MINUTE, 100, 400)
    settle(100)
    assert other.token_quota(PER_MINUTE).n_left == 500
