"""Work that tells how far it is."""

from __future__ import annotations

import threading

import pytest

from pyserve.errors import CancelledError
from pyserve.web.answer.told import told
from pyserve.web.request.disconnect import ClientGoneError, ClientWatch
from tests.support.limits import SOON_S

HERE = ClientWatch({})


class Gone(ClientWatch):
    def check(self) -> None:
        raise ClientGoneError("gone")


def test_what_is_told_comes_in_order_and_then_the_error():
    def work(tell):
        tell(1)
        tell(2)
        raise ValueError("it broke")

    heard = []
    with pytest.raises(ValueError, match="it broke"):
        heard.extend(told(work, HERE, 60.0))
    assert list(told(lambda tell: tell(3), HERE, 60.0)) == [3]


def test_silence_repeats_the_last_thing():
    may_end = threading.Event()

    def work(tell):
        tell(1)
        may_end.wait(SOON_S)

    things = told(work, HERE, 0.0)
    assert [next(things) for _ in range(3)] == [1, 1, 1]
    may_end.set()
    assert set(things) <= {1}


@pytest.mark.parametrize("is_gone", [True, False])
def test_work_for_nobody_ends(is_gone):
    may_tell, has_ended = threading.Event(), threading.Event()

    def work(tell):
        tell(1)
        may_tell.wait(SOON_S)
        try:
            tell(2)
        except CancelledError:
            has_ended.set()

    things = told(work, Gone({}) if is_gone else HERE, 60.0)
    assert next(things) == 1
    if is_gone:
        with pytest.raises(ClientGoneError):
            next(things)
    else:
        things.close()
    may_tell.set()
    assert has_ended.wait(SOON_S)
