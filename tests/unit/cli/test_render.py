from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyserve.cli.render import render
from tests.support.tiny.llama import write_tiny_llama


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_tiny_llama(tmp_path / "m.gguf")
    text = "name: x\nparameters: {model: m.gguf}\ntemplate: {chat: 'Q {{.Input}} A', edit: e}\n"
    (tmp_path / "x.yaml").write_text(text)
    (tmp_path / "e.tmpl").write_text("{{.Instruction}}|{{.Input}}")
    return tmp_path


def run(directory: Path, *args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(render, ["--models-dir", str(directory), *args], input=stdin)


def test_every_template_is_shown(directory: Path) -> None:
    messages = json.dumps([{"role": "user", "content": "hi"}])
    result = run(directory, "x", "--messages", "-", stdin=messages)
    assert result.exit_code == 0, result.output
    assert "Q hi A\n" in result.output
    assert "Correct it.|hi\n" in result.output
    assert "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n" in result.output


def test_functions_are_shown_where_a_template_has_them(directory: Path) -> None:
    template = "{chat: '{{.Input}}', function: '{{range .Functions}}{{.Name}} {{end}}{{.Input}}'}"
    (directory / "x.yaml").write_text(f"parameters: {{model: m.gguf}}\ntemplate: {template}\n")
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    tools = [{"type": "function", "function": {"name": "look"}}]
    assert "weather hi\n" in run(directory, "x", "--messages", "-", stdin=json.dumps(chat)).output
    chat["tools"] = tools
    assert "look hi\n" in run(directory, "x", "--messages", "-", stdin=json.dumps(chat)).output


@pytest.mark.parametrize("stdin", ["no json", '{"messages": []}', '[{"role": "robot"}]'])
def test_wrong_messages_are_refused(directory: Path, stdin: str) -> None:
    result = run(directory, "x", "--messages", "-", stdin=stdin)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_a_jinja_template_can_be_tried(directory: Path) -> None:
    (directory / "t.jinja").write_text("<{{ messages[0].content }}>")
    messages = json.dumps([{"role": "user", "content": "hi"}])
    args = ["m", "--template", str(directory / "t.jinja"), "--messages", "-"]
    result = run(directory, *args, stdin=messages)
    assert result.exit_code == 0, result.output
    assert "<hi>\n" in result.output
    assert "--chat-template-file" in result.output
