"""`--json` of commands that tell something, from a model's arrival to its removal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from click.testing import CliRunner

from pyserve.cli import main
from tests.support.tiny.llama import write_tiny_llama

PROGRAMS = {"serve", "logs", "batch"}  # output: none, a log, a file of results


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(main, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def test_all_commands_but_programs_have_it() -> None:
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if name not in PROGRAMS and not isinstance(command, click.Group):
            assert command is not None
            assert "--json" in [text for option in command.params for text in option.opts], name


def test_what_commands_did_to_a_model(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "m.gguf")
    models = ("--models-dir", tmp_path / "models")
    pulled = run("pull", path, *models)
    here = tmp_path / "models" / "m.gguf"
    assert pulled == {"id": "m", "file": str(here), "size_bytes": path.stat().st_size}
    (rendered,) = run("render", "m", *models)
    assert rendered["template"] == "chat, by the model file"
    assert "What is the capital of France?" in rendered["prompt"]
    quantized = run("quantize", here, tmp_path / "q.gguf", "Q8_0", "--threads", 1)
    assert quantized["size_bytes"] == (tmp_path / "q.gguf").stat().st_size
    assert quantized["size_bytes"] < quantized["size_bytes_before"]
    assert quantized["n_by_type"]["Q8_0"] > 0
    assert run("rm", "m", *models) == [{"id": "m", "file": str(here)}]
    assert not here.exists()
