"""`pyserve batch`: what it refuses before it asks anybody."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from click.testing import CliRunner, Result

from pyserve.batch.journal import Journal, new_result
from pyserve.cli import main

LINE = {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"prompt": "x"}}
NOWHERE = "http://127.0.0.1:1"


def call(*args: object) -> Result:
    return CliRunner().invoke(main, ["batch", *map(str, args), "--url", NOWHERE])


def test_mistakes_are_told_with_file_and_line(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text("{\n" + json.dumps({**LINE, "url": "/x"}))
    result = call(source, tmp_path / "out")
    assert result.exit_code == 1
    assert f"{source}:1: the line is not valid JSON" in result.stderr
    assert f"{source}:2: url is '/x'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_results_of_these_lines_stay_as_they_are(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_text(json.dumps(LINE))
    assert "is read and cannot be written" in call(source, source).stderr
    target.write_text("my notes\n")
    assert "has other lines than results of a batch" in call(source, target).stderr
    assert target.read_text() == "my notes\n"
    target.unlink()
    journal = Journal(target)
    journal.add(new_result("other"))
    journal.close()
    assert "has results of other lines: 'other'" in call(source, target).stderr


def test_what_is_done_needs_no_server(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_text(json.dumps(LINE))
    journal = Journal(target)
    journal.add(new_result("a"))
    journal.close()
    result = call(source, target)
    assert (result.exit_code, "0 answered, 1 not; 0 of them now" in result.stdout) == (1, True)


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_text(json.dumps(LINE))
    with target.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another run writes" in call(source, target).stderr
