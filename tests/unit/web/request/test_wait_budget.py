from __future__ import annotations

import pytest
from flask import Flask

from pyserve.errors import InvalidRequestError
from pyserve.web.request.wait_budget import HEADER, Patience, request_patience

APP = Flask(__name__)


def patience(header: str) -> Patience:
    with APP.test_request_context(headers={HEADER: header}):
        return request_patience()


@pytest.mark.parametrize(("header", "timeout_s"), [("0.5", 0.5), ("86400", 86400), ("1e3", 1000)])
def test_seconds_count_down(header, timeout_s):
    left_s = patience(header).left_s
    assert left_s is not None
    assert timeout_s - 10 < left_s <= timeout_s


@pytest.mark.parametrize(
    ("header", "is_whole"),
    [("5", False), ("5; whole", True), ("5;whole", True), (" 5 ; WHOLE ", True)],
)
def test_the_time_may_be_that_of_the_whole_answer(header, is_whole):
    assert patience(header).is_whole is is_whole
    assert 4000 < (patience(header).left_ms or 0) <= 5000


@pytest.mark.parametrize(
    "header",
    [
        "",
        "0",
        "-1",
        "5;",
        "5; half",
        "; whole",
        "5; whole; whole",
        "nan",
        "inf",
        "1e9",
        "86401",
        "5s",
        "1" * 33,
        "\u0665",
        "0." + "1" * 40,
    ],
)
def test_what_is_no_time_is_refused(header):
    with pytest.raises(InvalidRequestError) as caught:
        patience(header)
    assert caught.value.param == HEADER


def test_without_the_header_it_has_no_end():
    with APP.test_request_context():
        endless = request_patience()
    assert endless.left_s is None
    assert endless.at_most(5.0) == 5.0


def test_the_shorter_time_counts():
    assert Patience(1.0).at_most(100.0) <= 1.0
    assert Patience(100.0).at_most(1.0) == 1.0
    assert Patience(-1.0).left_s == 0.0
    assert Patience(-1.0).left_ms == 1.0
