"""Results that outlive the process that writes them."""

from __future__ import annotations

import json
import os
import resource

import msgspec
import pytest

from pyserve.batch.journal import Answer, Failure, Journal, new_result
from pyserve.errors import InvalidRequestError
from pyserve.memory.files import is_full

USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def answer(status: int = 200, **body) -> Answer:
    return Answer(status, "req_1", msgspec.Raw(json.dumps({"usage": USAGE} | body).encode()))


def test_success_and_failure_go_to_their_files(tmp_path):
    journal = Journal(tmp_path / "out", tmp_path / "err")
    assert journal.add(new_result("a", answer()))
    assert journal.add(new_result("b", answer(400, usage=None)))
    assert journal.add(new_result("c", error=Failure("batch_expired", "too late")))
    assert (journal.n_completed, journal.n_failed, journal.n_left) == (1, 2, 1)
    assert (journal.tokens.n_input, journal.tokens.n_cached) == (5, 3)
    journal.close()
    again = Journal(tmp_path / "out", tmp_path / "err")
    assert (again.n_completed, again.n_failed, again.n_left) == (1, 2, 1)
    assert again.add(
        new_result("m", answer(usage={"input_tokens": 4, "cache_read_input_tokens": 6}))
    )
    assert (again.tokens.n_input, again.tokens.n_cached) == (15, 9)
    again.close()
    (tmp_path / "out").write_text((tmp_path / "out").read_text().splitlines(keepends=True)[0])
    (done,) = map(json.loads, (tmp_path / "out").read_text().splitlines())
    assert done["custom_id"] == "a"
    assert done["id"].startswith("batch_req_")
    assert done["response"]["status_code"] == 200
    assert done["response"]["body"]["usage"] == USAGE
    assert done["error"] is None
    failed = [json.loads(text) for text in (tmp_path / "err").read_text().splitlines()]
    assert [each["response"] and each["response"]["status_code"] for each in failed] == [400, None]
    assert failed[1]["error"] == {"code": "batch_expired", "message": "too late"}


def test_a_line_is_done_once(tmp_path):
    journal = Journal(tmp_path / "out")
    assert journal.add(new_result("a", answer()))
    assert not journal.add(new_result("a", answer()))
    journal.close()
    assert len((tmp_path / "out").read_text().splitlines()) == 1


def test_a_result_is_one_line_whatever_it_says(tmp_path):
    journal = Journal(tmp_path / "out")
    body = msgspec.Raw(msgspec.json.encode({"text": "a\u2028b\u2029c\x85d"}))
    assert journal.add(new_result("a", Answer(200, "req_1", body)))
    journal.close()
    (line,) = (tmp_path / "out").read_text().splitlines()
    assert json.loads(line)["response"]["body"] == {"text": "a\u2028b\u2029c\x85d"}


@pytest.mark.parametrize("n_cut", [1, 2, 40, 200])
def test_a_result_that_was_written_in_part_is_cut_off(tmp_path, n_cut):
    path = tmp_path / "out"
    journal = Journal(path)
    journal.add(new_result("a", answer()))
    n_whole = path.stat().st_size
    journal.add(new_result("b", answer()))
    journal.close()
    os.truncate(path, path.stat().st_size - n_cut)
    again = Journal(path)
    assert again.done == {"a"}
    assert path.stat().st_size == n_whole
    assert again.tokens.n_cached == 3
    again.add(new_result("b", answer()))
    again.close()
    assert [json.loads(x)["custom_id"] for x in path.read_text().splitlines()] == ["a", "b"]


def test_zeros_that_a_crash_of_the_machine_leaves_are_cut_off(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(msgspec.json.encode(new_result("a", answer())) + b"\n" + b"\0" * 4096)
    assert Journal(path).done == {"a"}


@pytest.mark.parametrize("content", [b"notes\n", b"notes", b'{"custom_id": "a"}\n{"x', b"{}\n"])
def test_a_file_of_something_else_stays_as_it_is(tmp_path, content):
    path = tmp_path / "out"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError):
        Journal(path)
    assert path.read_bytes() == content


@pytest.fixture
def no_room_from():
    """Sets the size from which on files cannot grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_without_room_leaves_whole_lines(tmp_path, no_room_from):
    path = tmp_path / "out"
    journal = Journal(path)
    journal.add(new_result("a", answer()))
    n_whole = path.stat().st_size
    no_room_from(n_whole + 10)
    with pytest.raises(OSError, match="File too large") as caught:
        journal.add(new_result("b", answer()))
    assert is_full(caught.value)
    assert path.stat().st_size == n_whole
    no_room_from(resource.RLIM_INFINITY)
    assert journal.add(new_result("b", answer()))
    journal.close()
    assert Journal(path).done == {"a", "b"}
