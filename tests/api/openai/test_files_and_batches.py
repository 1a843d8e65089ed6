"""Files, and batches of requests over them: run, cancelled, taken over, by tenant."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from pyserve.batch.journal import Answer, Journal, new_result
from pyserve.memory.batches import Archive, result_id
from tests.support.batches import Batches, by_custom_id
from tests.support.client import client_of
from tests.support.front import CHAT, Front, chat_body, error_of
from tests.support.limits import SOON_S
from tests.support.server import wait_until

FILES, BATCHES = "/v1/files", "/v1/batches"
OVER = ("completed", "failed", "expired", "cancelled")
_ALL = Batches(BATCHES, lambda batch: batch["status"] in OVER)
get, ended = _ALL.get, _ALL.ended
KEYS = """
[[keys]]
key = "key-of-the-first"
[[keys]]
key = "key-of-the-second"
"""
FIRST, SECOND = ({"Authorization": f"Bearer key-of-the-{n}"} for n in ("first", "second"))


def line(custom_id: str, text: str = "one two", url: str = CHAT, **fields: Any) -> dict[str, Any]:
    body = {**chat_body(text, model="tiny"), **fields}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def jsonl(*lines: Any) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in lines)


def upload(front: Front, content: bytes, name: str = "in.jsonl", **options: Any) -> Any:
    return send(front, {"purpose": "batch", "file": (content, name)}, **options)


def send(front: Front, form: dict[str, Any], **options: Any) -> Any:
    """Post a form; a file is its content and its name."""
    parts = []
    for key, value in form.items():
        content, name = value if isinstance(value, tuple) else (value.encode(), None)
        head = f'form-data; name="{key}"' + (f'; filename="{name}"' if name is not None else "")
        parts.append(f"--b\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n")
    data, content_type = b"".join([*parts, b"--b--\r\n"]), "multipart/form-data; boundary=b"
    return front.client.post(FILES, data=data, content_type=content_type, **options)


def begin(front: Front, *lines: Any, endpoint: str = CHAT, headers: Any = None) -> str:
    sent = upload(front, jsonl(*lines), headers=headers).get_json()
    body = {"input_file_id": sent["id"], "endpoint": endpoint, "completion_window": "24h"}
    response = front.post(BATCHES, body, headers=headers)
    assert response.status_code == 200, response.text
    return str(response.get_json()["id"])


def results(front: Front, file_id: str | None, headers: Any = None) -> dict[str, dict[str, Any]]:
    assert file_id is not None
    return by_custom_id(front.client.get(f"{FILES}/{file_id}/content", headers=headers).text)


def test_every_line_is_answered_once_in_the_background(front, run):
    batch_id = begin(front, *(line(f"l{n}", f"text {n}") for n in range(40)))
    assert get(front, batch_id)["status"] == "validating"
    run(front)
    batch = ended(front, batch_id)
    assert batch["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
    assert (batch["model"], batch["error_file_id"]) == ("tiny", None)
    found = results(front, batch["output_file_id"])
    texts = {
        key: each["response"]["body"]["choices"][0]["message"]["content"]
        for key, each in found.items()
    }
    assert texts == {f"l{n}": f"text {n}" for n in range(40)}
    assert len(front.core.requests) == 40
    assert all(request.background for request in front.core.requests)
    usage = [each["response"]["body"]["usage"]["total_tokens"] for each in found.values()]
    assert batch["usage"]["total_tokens"] == sum(usage)


def test_lines_that_are_refused_go_to_the_error_file(front, run):
    lines = [
        line("fine"),
        line("hot", temperature=9),
        line("stream", stream=True),
        line("odd", messages="x"),
    ]
    batch_id = begin(front, *lines)
    run(front)
    batch = ended(front, batch_id)
    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 4, "completed": 1, "failed": 3}
    assert set(results(front, batch["output_file_id"])) == {"fine"}
    errors = results(front, batch["error_file_id"])
    assert {key: each["response"]["status_code"] for key, each in errors.items()} == {
        "hot": 400,
        "stream": 400,
        "odd": 400,
    }
    params = {k: each["response"]["body"]["error"]["param"] for k, each in errors.items()}
    assert params == {"hot": "temperature", "stream": "stream", "odd": "messages"}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"prompt": "a b"}),
        ("/v1/embeddings", {"input": ["a b", "c"]}),
        ("/v1/responses", {"input": "a b", "store": False}),
        ("/v1/edits", {"instruction": "Add c", "input": "a b"}),
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}),
    ],
)
def test_every_endpoint_answers(front, run, endpoint, body):
    sent = {"custom_id": "x", "method": "POST", "url": endpoint, "body": {"model": "tiny", **body}}
    batch_id = begin(front, sent, endpoint=endpoint)
    run(front)
    batch = ended(front, batch_id)
    assert batch["request_counts"]["completed"] == 1, results(front, batch["error_file_id"])
    assert batch["usage"]["input_tokens"] > 0


def test_an_input_with_mistakes_fails_and_names_their_lines(front, run):
    batch_id = begin(front, line("a"), {"custom_id": "b"}, line("a"), line("c", url="/v1/edits"))
    run(front)
    batch = ended(front, batch_id)
    assert batch["status"] == "failed"
    told = [(each["line"], each["code"], each["param"]) for each in batch["errors"]["data"]]
    assert told == [
        (2, "missing_required_parameter", "method"),
        (3, "duplicate_custom_id", "custom_id"),
        (4, "invalid_url", "url"),
    ]
    assert not front.core.requests
    assert batch["failed_at"]


def test_a_cancelled_one_keeps_what_is_done_and_names_the_rest(front, run):
    batch_id = begin(front, line("a"), *(line(f"b{n}", f"#hold {n}") for n in range(6)))
    run(front)
    wait_until(lambda: len(front.core.requests) == 7, SOON_S, "all lines run")
    wait_until(lambda: get(front, batch_id)["request_counts"]["completed"], SOON_S, "one is done")
    front.post(f"{BATCHES}/{batch_id}/cancel", None)
    batch = ended(front, batch_id)
    assert batch["status"] == "cancelled"
    assert batch["cancelling_at"] <= batch["cancelled_at"]
    assert set(results(front, batch["output_file_id"])) == {"a"}
    errors = results(front, batch["error_file_id"])
    assert {each["error"]["code"] for each in errors.values()} == {"batch_cancelled"}
    assert len(errors) == 6
    again = front.post(f"{BATCHES}/{batch_id}/cancel", None).get_json()
    assert again["status"] == "cancelled"


def archive_of(front: Front) -> Archive:
    archive = front.app.extensions["pyserve"].memory.archive
    assert archive is not None
    found: Archive = archive
    return found


def test_one_whose_time_is_over_expires(front, run):
    batch_id = begin(front, line("a", "#hold"))
    archive = archive_of(front)
    state = archive.batches.get("", batch_id)
    archive.batches.update(msgspec.structs.replace(state, expires=0.0), 0)
    run(front)
    batch = ended(front, batch_id)
    assert (batch["status"], batch["output_file_id"]) == ("expired", None)
    assert results(front, batch["error_file_id"])["a"]["error"]["code"] == "batch_expired"


def test_the_batch_of_a_process_that_has_died_is_taken_over(start, run):
    first, second = start(), start()
    batch_id = begin(first, line("a"))
    run(second)
    other = begin(second, line("b"))
    assert ended(second, other)["status"] == "completed"
    assert get(second, batch_id)["status"] == "validating"  # its process lives
    first.app.extensions["pyserve"].memory.close()
    assert ended(second, batch_id)["request_counts"]["completed"] == 1


def test_a_server_without_its_model_does_not_take_it(start, run):
    first = start()
    batch_id = begin(first, line("a", "#hold"))
    runner = run(first)
    wait_until(lambda: get(first, batch_id)["model"], SOON_S, "its model is known")
    runner.stop()
    first.app.extensions["pyserve"].memory.close()
    other = start(models=("one", "two"))
    runner = run(other)
    done = begin(other, line("b", model="one"))
    assert ended(other, done)["status"] == "completed"
    assert get(other, batch_id)["status"] == "in_progress"


def test_results_of_a_process_before_are_kept(front, run):
    """What it has finished is not computed again."""
    batch_id = begin(front, line("a"), line("b"))
    _, output, errors = archive_of(front).batches.paths(batch_id)
    journal = Journal(output, errors)
    journal.add(new_result("a", Answer(200, "req_0", msgspec.Raw(b'{"said":"before"}'))))
    journal.close()
    with output.open("ab") as file:
        file.write(b'{"id":"batch_req_x","custom_id":"b","resp')
    run(front)
    batch = ended(front, batch_id)
    found = results(front, batch["output_file_id"])
    assert found["a"]["response"]["body"] == {"said": "before"}
    assert found["b"]["response"]["status_code"] == 200
    assert len(front.core.requests) == 1


def test_an_end_that_was_not_finished_is_finished(front, run):
    """The results were renamed, and the process was killed before that was stored."""
    batch_id = begin(front, line("a"))
    archive = archive_of(front)
    _, output, errors = archive.batches.paths(batch_id)
    journal = Journal(output, errors)
    journal.add(new_result("a", Answer(200, "req_0", msgspec.Raw(b"{}"))))
    journal.close()
    output.rename(archive.files.path(result_id(output)))
    run(front)
    assert set(results(front, ended(front, batch_id)["output_file_id"])) == {"a"}
    assert not front.core.requests


def test_a_file_that_is_deleted_meanwhile_is_read_to_its_end(front, run):
    batch_id = begin(front, line("a"))
    file_id = get(front, batch_id)["input_file_id"]
    assert front.client.delete(f"{FILES}/{file_id}").get_json()["deleted"] is True
    run(front)
    assert ended(front, batch_id)["request_counts"]["completed"] == 1
    assert [path.name for path in archive_of(front).files.path("").iterdir()] == [
        ended(front, batch_id)["output_file_id"]
    ]


def test_files_that_are_removed_from_the_disk_are_told(front, run):
    sent = upload(front, jsonl(line("a"))).get_json()
    batch_id = begin(front, line("a"))
    archive = archive_of(front)
    archive.files.path(sent["id"]).unlink()
    archive.batches.paths(batch_id)[0].unlink()
    assert front.client.get(f"{FILES}/{sent['id']}/content").status_code == 404
    body = {"input_file_id": sent["id"], "endpoint": CHAT, "completion_window": "24h"}
    assert error_of(front.post(BATCHES, body))["param"] == "input_file_id"
    run(front)
    batch = ended(front, batch_id)
    assert batch["errors"]["data"][0]["code"] == "file_not_found"


def test_results_wait_for_room(front, run):
    batch_id = begin(front, line("a"))
    files = archive_of(front).files
    n_most, files._max_bytes = files._max_bytes, 0
    run(front)
    wait_until(lambda: front.core.requests, SOON_S, "the line runs")
    wait_until(lambda: get(front, batch_id)["status"] == "in_progress", SOON_S, "it waits")
    front.post(f"{BATCHES}/{batch_id}/cancel", None)
    assert ended(front, batch_id)["status"] == "cancelled"
    files._max_bytes = n_most


def keyed(start: Any, tmp_path: Path, text: str = KEYS, **settings: Any) -> Front:
    (tmp_path / "keys.toml").write_text(text)
    front: Front = start(api_key_file=tmp_path / "keys.toml", **settings)
    return front


def test_tenants_do_not_see_each_other(start, run, tmp_path):
    front = keyed(start, tmp_path)
    assert front.client.get(FILES).status_code == 401
    older = begin(front, line("a"), headers=SECOND)
    run(front)
    batch_id = begin(front, line("a"), headers=FIRST)
    batch = ended(front, batch_id, FIRST)
    file_id = batch["output_file_id"]
    assert {each.tenant for each in front.core.requests} >= {f"key-{batch_key(front)[:8]}"}
    for path in (
        f"{BATCHES}/{batch_id}",
        f"{FILES}/{file_id}",
        f"{FILES}/{file_id}/content",
    ):
        assert front.client.get(path, headers=FIRST).status_code == 200
        assert error_of(front.client.get(path, headers=SECOND))["code"] == "not_found"
    assert front.client.post(f"{BATCHES}/{batch_id}/cancel", headers=SECOND).status_code == 404
    assert front.client.delete(f"{FILES}/{file_id}", headers=SECOND).status_code == 404
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    assert front.post(BATCHES, body, headers=SECOND).status_code == 404
    assert [each["id"] for each in listed(front, BATCHES)] == [older]
    for path, after in ((FILES, file_id), (BATCHES, batch_id)):
        assert {each["id"] for each in listed(front, path)}.isdisjoint((file_id, batch_id))
        assert listed(front, f"{path}?after={after}") == []  # nor by the place that it has


def listed(front: Front, path: str) -> list[dict[str, Any]]:
    """What the second key sees."""
    found: list[dict[str, Any]] = front.client.get(path, headers=SECOND).get_json()["data"]
    return found


def batch_key(front: Front) -> str:
    with sqlite3.connect(archive_of(front).files.path("").parent / "files.sqlite") as db:
        (body,) = db.execute("SELECT body FROM batches ORDER BY number DESC").fetchone()
    return str(json.loads(body)["key"])


def test_lines_have_the_rights_of_their_key_and_none_of_its_places(start, run, tmp_path):
    rights = KEYS + 'endpoints = ["/files", "/batches", "/chat/completions"]\nmax_concurrency = 1\n'
    front = keyed(start, tmp_path, rights)
    run(front)
    batch = ended(front, begin(front, *(line(f"l{n}") for n in range(9)), headers=SECOND), SECOND)
    assert batch["request_counts"]["completed"] == 9
    sent = {"custom_id": "x", "method": "POST", "url": "/v1/embeddings", "body": {"input": "a"}}
    lines = begin(front, sent, endpoint="/v1/embeddings", headers=SECOND)
    errors = results(front, ended(front, lines, SECOND)["error_file_id"], SECOND)
    assert errors["x"]["response"]["status_code"] == 403


def test_lines_wait_for_the_tokens_of_their_key(start, run, tmp_path):
    front = keyed(start, tmp_path, KEYS + "tokens_per_minute = 30\n")
    run(front)
    lines = [line(f"l{n}", "a b c", max_tokens=10) for n in range(8)]
    batch_id = begin(front, *lines, headers=SECOND)
    wait_until(
        lambda: get(front, batch_id, SECOND)["request_counts"]["completed"], SOON_S, "some run"
    )
    batch = get(front, batch_id, SECOND)
    assert (batch["status"], batch["request_counts"]["failed"]) == ("in_progress", 0)
    front.client.post(f"{BATCHES}/{batch_id}/cancel", headers=SECOND)
    ended(front, batch_id, SECOND)


def test_a_key_that_is_gone_ends_its_batches(start, run, tmp_path):
    first = keyed(start, tmp_path, KEYS.replace("[[keys]]", '[[keys]]\ntenant = "T"'))
    batch_id = begin(first, line("a"), headers=FIRST)
    first.app.extensions["pyserve"].memory.close()
    other = keyed(start, tmp_path, '[[keys]]\nkey = "key-of-the-second"\ntenant = "T"\n')
    run(other)
    batch = ended(other, batch_id, SECOND)
    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "invalid_api_key")
    assert not other.core.requests


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\Users\\\\x\\\\in.jsonl", "in.jsonl"),
        ("..", ".."),
        ("/", "file"),
        ("a\tb\x01.jsonl", "ab.jsonl"),
        ("é" * 400, "é" * 255),
    ],
)
def test_the_name_of_a_file_is_only_shown(front, name, shown):
    file = upload(front, b"x", name).get_json()
    assert file["filename"] == shown
    directory = archive_of(front).files.path("")
    assert [path.name for path in directory.iterdir()] == [file["id"]]
    response = front.client.get(f"{FILES}/{file['id']}/content")
    assert (response.data, response.headers["Content-Length"]) == (b"x", "1")


@pytest.mark.parametrize(
    ("form", "status", "param"),
    [
        ({}, 400, "file"),
        ({"purpose": "batch"}, 400, "file"),
        ({"purpose": "batch", "file": "text"}, 400, "file"),
        ({"purpose": "batch", "file": (b"", "a")}, 400, "file"),
        ({"purpose": "fine-tune", "file": (b"x", "a")}, 400, "purpose"),
        ({"purpose": "batch", "file": (b"x" * 2**20, "a")}, 200, None),
        ({"purpose": "batch", "file": (b"x" * (2**20 + 1), "a")}, 413, None),
        ({"purpose": "batch" * 2000, "file": (b"x", "a")}, 413, None),
        (
            {
                "purpose": "batch",
                "file": (b"x", "a"),
                "expires_after[anchor]": "created_at",
                "expires_after[seconds]": "60",
            },
            400,
            "expires_after.seconds",
        ),
    ],
)
def test_forms_that_are_refused(start, form, status, param):
    front = start(max_file_mib=1)
    response = send(front, form)
    assert response.status_code == status, response.text
    if status != 200:
        assert error_of(response)["param"] == param
        assert list(archive_of(front).files.path("").iterdir()) == []


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=" + "b" * 300, b"x", 400),
        ("multipart/form-data; boundary=b", b"", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n--b--", 400),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data", 400),
        ("multipart/form-data; boundary=b", b"\r\n--b\r\n\xff: \xff\r\n\r\nx\r\n--b--", 400),
        ("multipart/form-data; boundary=b", b"x" * 2**21, 413),
    ],
)
def test_broken_forms_are_refused(front, content_type, body, status):
    response = front.client.post(FILES, data=body, content_type=content_type)
    assert response.status_code == status, response.text
    error_of(response)


def test_the_store_has_an_end(start):
    front = start(file_store_mib=1)
    assert upload(front, b"x" * 900_000).status_code == 200
    assert error_of(upload(front, b"x" * 900_000))["code"] == "storage_full"
    (file,) = front.client.get(FILES).get_json()["data"]
    front.client.delete(f"{FILES}/{file['id']}")
    assert upload(front, b"x" * 900_000).status_code == 200


def test_one_key_leaves_room_for_others(start, tmp_path):
    front = keyed(start, tmp_path, file_store_mib=1)
    assert error_of(upload(front, b"x" * 900_000, headers=FIRST))["code"] == "storage_full"
    assert upload(front, b"x" * 700_000, headers=FIRST).status_code == 200
    assert upload(front, b"x" * 200_000, headers=SECOND).status_code == 200


def test_a_server_may_store_no_files(start):
    front = start(file_store_mib=0)
    for response in (upload(front, b"x"), front.client.get(BATCHES)):
        assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"input_file_id": "file-none"}, 404, "input_file_id"),
        ({"input_file_id": "../x"}, 404, "input_file_id"),
        ({"endpoint": "/v1/models/load"}, 400, "endpoint"),
        ({"completion_window": "0h"}, 400, "completion_window"),
        ({"completion_window": "1s"}, 400, "completion_window"),
        ({"metadata": {"a": 1}}, 400, "metadata.a"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, 400, None),
    ],
)
def test_batches_that_are_refused(front, fields, status, param):
    sent = upload(front, jsonl(line("a"))).get_json()
    body = {"input_file_id": sent["id"], "endpoint": CHAT, "completion_window": "24h", **fields}
    response = front.post(BATCHES, body)
    assert response.status_code == status
    assert param is None or error_of(response)["param"] == param


def test_pages_of_files_and_of_batches(front):
    ids = [upload(front, jsonl(line("a")), f"{n}.jsonl").get_json()["id"] for n in range(5)]
    page = front.client.get(f"{FILES}?limit=2&order=asc&after={ids[0]}").get_json()
    assert [each["id"] for each in page["data"]] == ids[1:3]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (True, ids[1], ids[2])
    assert front.client.get(f"{FILES}?purpose=batch_output").get_json()["data"] == []
    assert error_of(front.client.get(f"{FILES}?purpose=x"))["param"] == "purpose"
    assert error_of(front.client.get(f"{FILES}?limit=0"))["param"] == "limit"
    batches = [begin(front, line("a")) for _ in range(3)]
    page = front.client.get(f"{BATCHES}?limit=2").get_json()
    assert [each["id"] for each in page["data"]] == batches[:0:-1]
    page = front.client.get(f"{BATCHES}?limit=2&after={batches[1]}").get_json()
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (batches[:1], False)


def test_the_official_client(front, run):
    run(front)
    with client_of(front, is_strict=True) as client:
        file = client.files.create(
            file=("in.jsonl", jsonl(line("a"), line("b", temperature=9))),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert file.expires_at == file.created_at + 3600
        assert client.files.retrieve(file.id) == file
        assert [each.id for each in client.files.list(purpose="batch")] == [file.id]
        assert b'"custom_id": "a"' in client.files.content(file.id).read()
        batch = client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"a": "b"},
            output_expires_after={"anchor": "created_at", "seconds": 7200},
        )
        ended(front, batch.id)
        batch = client.batches.retrieve(batch.id)
        assert (batch.status, batch.metadata) == ("completed", {"a": "b"})
        assert [each.id for each in client.batches.list()] == [batch.id]
        assert json.loads(client.files.content(batch.output_file_id).text)["custom_id"] == "a"
        output = client.files.retrieve(batch.output_file_id)
        assert output.expires_at == output.created_at + 7200
        assert client.batches.cancel(batch.id).status == "completed"
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)


def test_any_request_may_run_in_the_background(front):
    front.post(CHAT, chat_body(), headers={"X-Background": "true"})
    front.post(CHAT, chat_body())
    assert [request.background for request in front.core.requests] == [True, False]
    refused = front.post(CHAT, chat_body(), headers={"X-Background": "maybe"})
    assert error_of(refused)["param"] == "X-Background"
