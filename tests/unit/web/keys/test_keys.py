from __future__ import annotations

import hashlib

import pytest

from pyserve.config import ServeConfig
from pyserve.errors import InvalidRequestError, RateLimitError
from pyserve.web.keys.keys import ApiKey, check_access, digest_of, load_keys
from pyserve.web.keys.limits import KeyLimits
from pyserve.web.request.stream_limit import share_of_one

KEY, OTHER = "sk-first-key", "sk-other-key"


def test_keys_of_the_command_line_may_do_everything():
    ring = load_keys([KEY, OTHER], None)
    key, model = ring.find(KEY)
    assert (key.admin, key.models, model) == (True, None, None)
    assert key.tenant != ring.find(OTHER)[0].tenant


def test_what_follows_a_colon_names_a_model():
    ring = load_keys([KEY], None)
    assert ring.find(f"{KEY}:a:b")[1] == "a:b"
    assert ring.find(f"{KEY}:")[1] is None


@pytest.mark.parametrize(
    "token", ["", KEY[:-1], KEY + "x", KEY.upper(), ":", f":{KEY}", "\udcff", "x" * 2000]
)
def test_anything_else_is_nobody(token):
    assert load_keys([KEY], None).find(token) is None


def test_no_key_text_is_kept():
    assert KEY not in repr(vars(load_keys([KEY], None)))


def test_a_file_has_a_key_on_each_line(tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text(f"# ours\n\n  {KEY}  \n{OTHER}\n")
    ring = load_keys([], path)
    assert ring.find(KEY)
    assert ring.find(OTHER)
    assert not ring.find("# ours")


def test_a_toml_file_says_what_each_key_may(tmp_path):
    path = tmp_path / "keys.toml"
    digest = hashlib.sha256(OTHER.encode()).hexdigest()
    path.write_text(
        f'[[keys]]\nkey = "{KEY}"\nname = "team"\nmodels = ["a"]\nmax_concurrency = 2\n'
        f'requests_per_minute = 60\ntenant = "t"\n[[keys]]\nsha256 = "{digest}"\nadmin = true\n'
    )
    ring = load_keys([], path)
    assert ring.find(KEY)[0] == ApiKey(
        name="team",
        digest=digest_of(KEY),
        models=frozenset({"a"}),
        max_concurrency=2,
        requests_per_minute=60,
        tenant="t",
    )
    assert ring.find(OTHER)[0].admin


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("k.toml", "[[keys]]\n", "either key or sha256"),
        ("k.toml", '[[keys]]\nsha256 = "ff"\n', "64 hex"),
        ("k.toml", '[[keys]]\nkey = "12345678"\nmax_concurrency = 0\n', ">= 1"),
        ("k.toml", '[[keys]]\nkey = "12345678"\ncolour = "red"\n', "colour"),
        ("k.toml", "keys = 1", "array"),
        ("k.toml", "[[", "TOML|Expected|Invalid"),
        ("k.txt", "", "no key"),
        ("k.txt", "short", "5 characters"),
        ("k.txt", "with a space", "without spaces"),
        ("k.txt", "12345678\n12345678\n", "twice"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, name, text, match):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match=match):
        load_keys([], path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        load_keys([], tmp_path / "none")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_other_machines_need_a_key(host):
    with pytest.raises(InvalidRequestError, match="--insecure"):
        check_access(ServeConfig(host=host))
    check_access(ServeConfig(host=host, insecure=True))
    check_access(ServeConfig(host=host, api_key=[KEY]))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_none(host):
    check_access(ServeConfig(host=host))


def _key(text="k", **rights):
    return ApiKey(name=text, digest=digest_of(text), **rights)


def test_places_are_given_back():
    limits, key = KeyLimits(), _key(max_concurrency=2)
    release = limits.acquire(key)
    limits.acquire(key)
    with pytest.raises(RateLimitError, match="2 requests"):
        limits.acquire(key)
    release()
    limits.acquire(key)


def test_one_of_several_keys_leaves_room_for_others():
    limits, greedy, other = KeyLimits(n_most=2), _key("greedy"), _key("other")
    for _ in range(2):
        limits.acquire(greedy)
    with pytest.raises(RateLimitError, match="limit is 2"):
        limits.acquire(greedy)
    limits.acquire(other)
    limits.acquire(low := _key("low", max_concurrency=1))
    with pytest.raises(RateLimitError, match="limit is 1"):
        limits.acquire(low)


@pytest.mark.parametrize(("n_max", "expected"), [(64, 48), (4, 3), (2, 1), (1, 1)])
def test_the_share_of_one_key_leaves_a_quarter(n_max, expected):
    assert share_of_one(n_max) == expected


def test_the_quota_of_a_minute_comes_back_evenly():
    now = [0.0]
    limits, key = KeyLimits(lambda: now[0]), _key(requests_per_minute=2)
    limits.acquire(key)
    limits.acquire(key)
    assert limits.quota(key) == (2, 0, 60.0)
    with pytest.raises(RateLimitError) as refused:
        limits.acquire(key)
    assert refused.value.details["retry_after_s"] == 30.0
    now[0] = 30.0
    limits.acquire(key)
    now[0] = 1000.0
    assert limits.quota(key) == (2, 2, 0.0)
