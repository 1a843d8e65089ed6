"""Sums of used tokens, in our shape and OpenAI's."""

from __future__ import annotations

import pytest

from pyserve.openai.server.usage import DAY_S, HOUR_S, UsageRow, usage_page, usage_report
from tests.support.answers import as_json

DAY = 20_000 * DAY_S
ROWS = [
    UsageRow(DAY, "a", "m", 1, 10, 4, 5),
    UsageRow(DAY, "b", "m", 1, 10, 0, 5),
    UsageRow(DAY + HOUR_S, "a", "n", 2, 20, 0, 5),
    UsageRow(DAY + DAY_S, "", "m", 1, 1, 0, 1),
]
ONE = {"requests": 1, "prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 1}
BOTH = {"requests": 3, "prompt_tokens": 21, "cached_tokens": 4, "completion_tokens": 11}


@pytest.mark.parametrize(
    ("groups", "names", "n_requests"),
    [
        ([], {}, [5]),
        (["key"], {"key": [None, "a", "b"]}, [1, 3, 1]),
        (["model"], {"model": ["m", "n"]}, [3, 2]),
        (["day"], {"start_time": [DAY, DAY + DAY_S]}, [4, 1]),
        (
            ["hour", "model"],
            {"start_time": [DAY, DAY + HOUR_S, DAY + DAY_S], "model": ["m", "n", "m"]},
            [2, 2, 1],
        ),
    ],
)
def test_rows_are_summed_by_group(groups, names, n_requests):
    report = as_json(usage_report(ROWS, DAY, DAY + 2 * DAY_S, groups))
    assert (report["from"], report["to"], report["object"]) == (DAY, DAY + 2 * DAY_S, "usage")
    lines = report["data"]
    assert [line["requests"] for line in lines] == n_requests
    for name in ("key", "model", "start_time"):
        shown = [line[name] for line in lines if name in line]
        assert shown == names.get(name, [])


def test_every_count_is_summed():
    lines = as_json(usage_report(ROWS, DAY, DAY + 2 * DAY_S, ["model"]))["data"]
    assert lines[0] == {"model": "m", **BOTH, "total_tokens": 32}
    lines = as_json(usage_report(ROWS, DAY, DAY + 2 * DAY_S, ["key"]))["data"]
    assert lines[0] == {"key": None, **ONE, "total_tokens": 2}


def test_nothing_is_one_empty_sum_or_no_group():
    assert as_json(usage_report([], 0, 1, []))["data"][0]["requests"] == 0
    assert as_json(usage_report([], 0, 1, ["key"]))["data"] == []


def test_buckets_are_as_openai_has_them():
    end = DAY + DAY_S + 5
    page = as_json(usage_page(ROWS, range(DAY, DAY + DAY_S, DAY_S), end, ["api_key_id"]))
    (bucket,) = page["data"]
    assert (bucket["start_time"], bucket["end_time"]) == (DAY, DAY + DAY_S)
    assert [
        (each["api_key_id"], each["model"], each["num_model_requests"], each["input_tokens"])
        for each in bucket["results"]
    ] == [("a", None, 3, 30), ("b", None, 1, 10)]
    assert (page["has_more"], page["next_page"]) == (True, str(DAY + DAY_S))
    last = as_json(usage_page(ROWS, range(DAY + DAY_S, end, DAY_S), end, []))
    assert last["data"][0]["end_time"] == end
    assert (last["has_more"], last["next_page"]) == (False, None)
