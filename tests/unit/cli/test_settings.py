"""The file of settings, and where each value comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyserve.cli import main
from pyserve.config import ServeConfig, read_config
from pyserve.errors import InvalidRequestError


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's own file of settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "pyserve" / "pyserve.toml"
    path.parent.mkdir()
    return path


def test_the_file_is_over_defaults_and_under_all_else(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('port = 1\nctx-size = 64\nparallel = 2\napi_key = ["a", "b"]\n')
    monkeypatch.setenv("PYSERVE_PARALLEL", "3")
    config = read_config({"port": 99})
    assert (config.port, config.ctx_size, config.parallel) == (99, 64, 3)
    assert config.api_key == ["a", "b"]
    shown = CliRunner().invoke(main, ["config", "--port", "99", "--set", "--json"])
    assert {row["name"]: row["origin"] for row in json.loads(shown.stdout)} == {
        "port": "--port",
        "ctx_size": f"ctx_size in {file}",
        "parallel": "PYSERVE_PARALLEL",
        "api_key": f"api_key in {file}",
    }
    assert '"a"' not in shown.stdout, "keys are not shown"


def test_another_file_can_be_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("port = 1")
    other = file.with_name("other.toml")
    other.write_text("port = 2")
    assert read_config({}, other).port == 2
    monkeypatch.setenv("PYSERVE_CONFIG", str(other))
    assert read_config({}).port == 2
    monkeypatch.setenv("PYSERVE_CONFIG", "")
    assert read_config({}).port == ServeConfig.model_fields["port"].default


def test_processes_of_a_server_read_no_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("port = 1")
    config = read_config({})
    file.write_text("ctx_size = 64")
    for name, value in config.to_environ().items():
        monkeypatch.setenv(name, value)
    assert read_config({}) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "there is no setting 'prot'; did you mean port?"),
        ("port = 'x'", "port in {file}: "),
        ("port = ", "is no TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidRequestError) as caught:
        read_config({})
    assert said.format(file=file) in caught.value.message
    assert str(file) in caught.value.message


def test_a_named_file_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="No such file"):
        read_config({}, tmp_path / "x.toml")
