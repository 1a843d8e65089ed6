from __future__ import annotations

import json
import logging
import sys

import pytest

from pyserve.process.logs import MAX_MESSAGE_CHARS, JsonFormatter, TextFormatter


def record(message: str, *args: object, **more: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "n", "levelname": "INFO", "msg": message, "args": args, **more}
    )


@pytest.fixture
def formatter() -> JsonFormatter:
    return JsonFormatter("front", lambda: {"request_id": "req_1"})


def test_a_record_is_one_line_of_json(formatter):
    line = formatter.format(record("a %s\nFAKE", "b\r\n"))
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["message"] == "a b\r\n\nFAKE"
    assert (fields["level"], fields["process"], fields["request_id"]) == ("info", "front", "req_1")
    assert fields["time"].endswith("+00:00")


def test_records_have_fields_of_their_own(formatter):
    line = formatter.format(record("request", fields={"status": 200, "odd": object}))
    assert json.loads(line)["status"] == 200


def test_long_messages_are_cut(formatter):
    assert len(json.loads(formatter.format(record("x" * 10**6)))["message"]) == MAX_MESSAGE_CHARS


def test_tracebacks_are_a_field(formatter):
    try:
        raise ValueError("boom")
    except ValueError:
        line = formatter.format(record("failed", exc_info=sys.exc_info()))
    assert "ValueError: boom" in json.loads(line)["trace"]


def test_text_shows_no_control_characters():
    text = TextFormatter("%(name)s").format(record("a\x1b[31m\rb"))
    assert text == "INFO n: a?[31m?b"
