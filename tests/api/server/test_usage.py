"""Usage by key and model, and the access log's counts."""

from __future__ import annotations

import logging

import pytest

from pyserve.process.logs import FIELDS
from tests.support.front import CHAT, COMPLETIONS, chat_body, error_of

KEY, ADMIN = "sk-of-a-user", "sk-of-an-admin"
USAGE, ORGANIZATION = "/v1/usage", "/v1/organization/usage/completions"
TOML = f"""
[[keys]]
key = "{KEY}"
name = "user"
[[keys]]
key = "{ADMIN}"
name = "boss"
admin = true
"""
BEGIN_2026_S = 1767225600
DAY_S = 86_400


@pytest.fixture
def shared(start, tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(TOML)
    return start(models=("a", "b"), api_key_file=path)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def sum_of_all(front):
    (line,) = front.client.get(USAGE, headers=bearer(ADMIN)).get_json()["data"]
    return line


def test_what_was_used_is_shown_by_key_and_model(shared):
    usages = {}
    for key, name, model in ((KEY, "user", "a"), (KEY, "user", "b"), (ADMIN, "boss", "b")):
        body = chat_body("one two three", model=model, n=2, temperature=0)
        usages[name, model] = shared.post(CHAT, body, headers=bearer(key)).get_json()["usage"]
    stream = chat_body("one", model="a", stream=True)
    assert shared.post(CHAT, stream, headers=bearer(KEY)).status_code == 200
    report = shared.client.get(f"{USAGE}?group_by=key,model", headers=bearer(ADMIN)).get_json()
    lines = {(line["key"], line["model"]): line for line in report["data"]}
    assert lines.keys() == usages.keys()
    assert lines["user", "a"]["requests"] == 2
    for place in (("user", "b"), ("boss", "b")):
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert lines[place][name] == usages[place][name]


def test_refused_requests_use_nothing_and_cancelled_ones_what_was_computed(shared):
    shared.post(CHAT, chat_body(model="c"), headers=bearer(ADMIN))
    shared.post(CHAT, chat_body("x " * 5000, model="a"), headers=bearer(ADMIN))
    assert sum_of_all(shared)["prompt_tokens"] == 0
    n_before = sum_of_all(shared)["requests"]
    body = chat_body("#hold=1 0", stream=True, model="a")
    shared.post(CHAT, body, headers=bearer(ADMIN), buffered=False).close()
    assert sum_of_all(shared)["requests"] == n_before + 1
    assert sum_of_all(shared)["prompt_tokens"] > 0


@pytest.mark.parametrize("path", [USAGE, f"{ORGANIZATION}?start_time=1"])
def test_it_is_for_administrators(shared, path):
    response = shared.client.get(path, headers=bearer(KEY))
    assert (response.status_code, error_of(response)["code"]) == (403, "permission_denied")
    assert shared.client.get(path, headers=bearer(ADMIN)).status_code == 200


@pytest.mark.parametrize(
    ("path", "param"),
    [
        (f"{USAGE}?from=yesterday", "from"),
        (f"{USAGE}?to=-5", "to"),
        (f"{USAGE}?from={'9' * 40}", "from"),
        (f"{USAGE}?group_by=key,tenant", "group_by"),
        (ORGANIZATION, "start_time"),
        (f"{ORGANIZATION}?start_time=x", "start_time"),
        (f"{ORGANIZATION}?start_time=1&bucket_width=1m", "bucket_width"),
        (f"{ORGANIZATION}?start_time=1&limit=0", "limit"),
        (f"{ORGANIZATION}?start_time=1&limit=32", "limit"),
        (f"{ORGANIZATION}?start_time=1&page=x", "page"),
        (f"{ORGANIZATION}?start_time=1&group_by=key", "group_by"),
    ],
)
def test_bad_parameters_are_named(front, path, param):
    response = front.client.get(path)
    assert (response.status_code, error_of(response)["param"]) == (400, param)


@pytest.mark.parametrize("begin", ["2026-01-01", "2026-01-01T00:30:00Z", str(BEGIN_2026_S)])
def test_times_are_dates_or_seconds(front, begin):
    report = front.client.get(f"{USAGE}?from={begin}&to=2026-01-02").get_json()
    assert (report["from"], report["to"]) == (BEGIN_2026_S, BEGIN_2026_S + DAY_S)


def test_pages_follow_each_other_to_the_end(front):
    front.post(COMPLETIONS, {"prompt": "one two"})
    query = f"start_time={BEGIN_2026_S + 5}&limit=31&group_by=model"
    found, begins, page = [], [], ""
    while page is not None:
        answer = front.client.get(f"{ORGANIZATION}?{query}{page}").get_json()
        begins += [bucket["start_time"] for bucket in answer["data"]]
        found += [each for bucket in answer["data"] for each in bucket["results"]]
        page = f"&page={answer['next_page']}" if answer["has_more"] else None
    assert [(each["model"], each["num_model_requests"]) for each in found] == [("tiny", 1)]
    assert begins == [BEGIN_2026_S + n * DAY_S for n in range(len(begins))]


@pytest.mark.parametrize(
    ("query", "n_found"),
    [("models=tiny", 1), ("models[]=b", 0), ("api_key_ids=x,y", 0), ("bucket_width=1h", 1)],
)
def test_models_and_keys_can_be_chosen(front, query, n_found):
    begin_s = front.client.get(USAGE).get_json()["to"] - 2 * 3600
    front.post(COMPLETIONS, {"prompt": "one two"})
    answer = front.client.get(f"{ORGANIZATION}?start_time={begin_s}&{query}").get_json()
    assert sum(len(bucket["results"]) for bucket in answer["data"]) == n_found


def test_the_log_has_the_counts_of_a_request_when_it_is_over(start, caplog):
    front = start(log_format="json")
    caplog.set_level(logging.INFO, "pyserve.web.request.access_log")

    def fields():
        (found,) = [getattr(record, FIELDS) for record in caplog.records]
        caplog.clear()
        return found

    body = chat_body("one two three", temperature=0, priority=2)
    usage = front.post(CHAT, body, buffered=True).get_json()["usage"]
    shown = fields()
    assert (shown["model"], shown["finish"], shown["priority"]) == ("tiny", "stop", 2)
    assert shown["prompt_tokens"] == usage["prompt_tokens"]
    assert shown["completion_tokens"] == usage["completion_tokens"]
    assert shown["first_token_milliseconds"] <= shown["milliseconds"]
    assert {"queue_milliseconds", "tokens_per_second", "tenant", "cached_tokens"} <= shown.keys()
    stream = front.post(CHAT, chat_body("#hold=1 0", stream=True), buffered=False)
    assert caplog.records == []
    stream.close()
    shown = fields()
    assert (shown["finish"], shown["status"]) == ("cancelled", 200)
    front.client.get("/v1/models", buffered=True)
    shown = fields()
    assert "finish" not in shown
    assert shown["request_id"].startswith("req_")
