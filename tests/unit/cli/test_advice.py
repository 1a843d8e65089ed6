"""What `pyserve serve` and `pyserve models` say of models that suit the machine."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyserve.cli.advice import advice, advice_for
from pyserve.cli.announce import Announcer
from pyserve.cli.models import list_models, models
from pyserve.config import ServeConfig
from pyserve.models.fitting import GIB, Machine, advised
from pyserve.models.gallery import load_gallery
from tests.unit.cli.test_serve import READY


def test_the_best_model_is_named_with_the_command_that_gets_it() -> None:
    text = advice(load_gallery(), Machine(32 * GIB, 8), "/usr/bin/python")
    assert "34.4 GB of memory, 8 cores" in text
    assert "\n\npyserve serve qwen3.6-35b-a3b\n" in text
    assert "22.1 GB" in text


def test_a_program_that_is_not_on_the_path_is_called_as_it_was() -> None:
    gallery, machine = load_gallery(), Machine(8 * GIB, 4)
    best = advised(gallery, machine)
    assert best is not None
    text = advice(gallery, machine, ".venv/bin/pyserve")
    assert f"\n\n.venv/bin/pyserve serve {best.name}\n" in text
    assert ".venv/bin/pyserve models --fits" in text


def test_there_is_none_where_nothing_better_fits_or_the_user_chose() -> None:
    gallery = load_gallery()
    assert advice(gallery, Machine(2 * GIB, 1), "pyserve") == ""
    assert advice_for(ServeConfig(models=[gallery.default]), [gallery.default]) == ""
    assert advice_for(ServeConfig(), ["mine"]) == ""
    assert advice_for(ServeConfig(), [gallery.default, "mine"]) == ""


def test_it_is_said_once_after_the_banner() -> None:
    out = io.StringIO()
    announce = Announcer(ServeConfig(), out=out, err=out, advice="better")
    announce([READY], False)
    assert "better" not in out.getvalue()
    announce([READY], True)
    announce([READY], True)
    assert out.getvalue().count("better") == 1


def test_rows_have_what_the_gallery_knows(tmp_path: Path) -> None:
    rows = {row["id"]: row for row in list_models(tmp_path, load_gallery(), Machine(8 * GIB, 4))}
    row = rows["qwen3.5-4b"]
    assert row["license"] == "Apache-2.0"
    assert row["sampling"]["presence_penalty"] == 1.5
    assert row["thinking"] == "optional"
    assert row["memory_bytes"]["32768"] > row["memory_bytes"]["8192"] > row["size_bytes"]
    assert row["fits"]
    assert not rows["qwen3.6-35b-a3b"]["fits"]


@pytest.mark.parametrize("as_json", [False, True])
def test_models_that_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    monkeypatch.setenv("PYSERVE_MEMORY_LIMIT_MIB", "5000")
    args = ["--fits", "--models-dir", str(tmp_path), *(["--json"] if as_json else [])]
    result = CliRunner().invoke(models, args)
    assert result.exit_code == 0, result.output
    assert "qwen3.5-2b" in result.output
    assert "gemma-4-12b" not in result.output
    if as_json:
        assert all(row["fits"] for row in json.loads(result.output))
