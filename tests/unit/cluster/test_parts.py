from __future__ import annotations

import msgspec
import pytest

from pyserve.cluster.app import Wish, surge_percent
from pyserve.cluster.follower import (
    KEEP_S,
    LOOK_S,
    WAKE_S,
    WAKING_LOOK_S,
    ReplicaBook,
    WakeBook,
)
from pyserve.cluster.replica import CRASH_WINDOW_S, MAX_CRASHES, CrashCount
from pyserve.cluster.totals import total
from pyserve.cluster.views import Directory, ModelView, ReplicaView, Trouble, news_decoder
from pyserve.engine.model_info import DraftCount, EngineStats
from pyserve.engine.remote.wire import encode


def view(name: str, port: int = 1) -> ReplicaView:
    return ReplicaView(replica_id=name, host="h", port=port, token=b"t", statuses=[])


def test_a_replica_that_does_not_answer_is_known_for_a_while():
    book = ReplicaBook()
    assert book.note([view("b"), view("a")], 0, 0.0) == [view("a"), view("b")]
    assert book.note([view("a", 2)], 1, 1.0) == [view("a", 2), view("b")]
    assert book.note([view("a")], 1, KEEP_S) == [view("a")]
    assert book.note([], 1, KEEP_S) == [view("a")]


def test_a_replica_that_ray_has_no_more_is_gone_at_once():
    book = ReplicaBook()
    book.note([view("a"), view("b")], 0, 0.0)
    assert book.note([view("b")], 0, 1.0) == [view("b")]
    assert book.views == [view("b")]


def test_a_model_is_woken_once_at_a_time_and_looked_at_more_often_meanwhile():
    book = WakeBook()
    assert book.look_in_s(100.0) == LOOK_S
    assert book.may_wake("m", 100.0)
    assert book.look_in_s(100.0) == WAKING_LOOK_S
    assert book.look_in_s(104.0) == pytest.approx(0.4)
    assert not book.may_wake("m", 104.0)
    book.forget("m")
    assert book.look_in_s(104.0) == LOOK_S
    assert book.may_wake("m", 104.0)
    assert book.look_in_s(104.0 + WAKE_S) == LOOK_S
    assert book.may_wake("m", 104.0 + WAKE_S)


def test_crashes_count_for_a_while():
    now = 0.0
    crashes = CrashCount(lambda: now)
    assert not crashes.see(0)
    assert not crashes.see(MAX_CRASHES - 1)
    assert not crashes.see(MAX_CRASHES - 1)
    now = CRASH_WINDOW_S + 1
    assert not crashes.see(MAX_CRASHES)
    assert not crashes.see(MAX_CRASHES + 1)
    assert crashes.see(MAX_CRASHES + 2)


def test_counters_of_engines_are_added():
    one = EngineStats(
        n_running=1, gaps_ms=1.5, stalled_ms=5.0, drafts=(DraftCount("ngram", 2, 1),),
        running_adapters=("a",), gaps=((1.0, 1), (float("inf"), 2)),
    )  # fmt: skip
    two = EngineStats(
        n_running=2, gaps_ms=2.0, stalled_ms=7.0,
        drafts=(DraftCount("ngram", 1, 1), DraftCount("mtp", 3, 0)),
        running_adapters=("a", "b"), gaps=((1.0, 4), (float("inf"), 0)),
    )  # fmt: skip
    both = total([one, two])
    assert (both.n_running, both.gaps_ms, both.stalled_ms) == (3, 3.5, 7.0)
    assert both.drafts == (DraftCount("ngram", 3, 2), DraftCount("mtp", 3, 0))
    assert both.running_adapters == ("a", "b")
    assert dict(both.gaps)[1.0] == 5
    assert total([]) == msgspec.structs.replace(EngineStats(), gaps=total([]).gaps)
    assert total([one]) == one


@pytest.mark.parametrize(
    "news",
    [
        Trouble(message="no node"),
        Directory(models=[ModelView(model_id="m", state="RUNNING", replicas=[view("a")])]),
    ],
)
def test_news_arrive_as_they_were_told(news):
    assert news_decoder().feed(encode(news)) == [news]


@pytest.mark.parametrize(
    ("n_replicas", "per_node", "surge", "n_free", "percent"),
    [
        (1, 0, None, 4.0, 100),
        (1, 0, None, 3.0, 0),
        (3, 0, None, 4.0, 34),
        (3, 1, None, 4.0, 0),
        (3, 1, True, 0.0, 34),
        (1, 0, False, 4.0, 0),
        (0, 0, None, 4.0, 100),
    ],
)
def test_one_replica_more_runs_while_they_are_replaced_where_there_is_room(
    n_replicas, per_node, surge, n_free, percent
):
    wish = Wish(
        model_id="m", settings={}, n_replicas=n_replicas, n_cpus=4, per_node=per_node, surge=surge
    )
    assert surge_percent(wish, n_free) == percent
