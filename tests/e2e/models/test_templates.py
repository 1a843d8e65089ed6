"""Chat templates in place of the file's, through the running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.gguf_edit import string, taken_apart
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess
from tests.support.tiny.llama import write_tiny_llama

OWN = (
    "{% for m in messages %}{% if not loop.first and m.role == 'system' %}"
    "{{ raise_exception('The system message comes first.') }}{% endif %}"
    "{% if m.content == 'land' %}{{ raise_exception('Ask about the sea.') }}{% endif %}"
    "[{{ m.role }}:{{ m.content }}]{% endfor %}"
)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
FOR_TOOLS = (
    "<tool_call> {{ tools[0].function.name }}{% for m in messages %}"
    "[{{ m.role }}:{{ m.content }}]{% endfor %}"
)


@pytest.fixture
def models_dir(run_dir: Path) -> Path:
    directory = run_dir / "models"
    directory.mkdir()
    edit = taken_apart(write_tiny_llama(directory / "own.gguf").read_bytes())
    edit.keys["tokenizer.chat_template"] = string(OWN)
    edit.keys["tokenizer.chat_template.tool_use"] = string(FOR_TOOLS)
    (directory / "own.gguf").write_bytes(edit.to_bytes())
    (directory / "beside.gguf").write_bytes(edit.to_bytes())
    (directory / "beside.jinja").write_text("beside {{ mine }} {{ more.a }}")
    (directory / "chosen.gguf").write_bytes(edit.to_bytes())
    (directory / "chosen.file").write_text("chosen")
    yaml = "name: yaml\nparameters: {model: own.gguf}\ntemplate: {jinja: 'of the YAML'}\n"
    (directory / "yaml.yaml").write_text(yaml)
    own = "name: own\nparameters: {model: own.gguf}\n"
    (directory / "own.yaml").write_text(own)
    return directory


@pytest.fixture
def server(make_server: MakeServer, models_dir: Path) -> ServerProcess:
    file = f"{models_dir / 'chosen.file'}=chosen"
    kwargs = '{"mine": "default"}'
    args = ["--chat-template-file", file, "--chat-template-kwargs", kwargs, "--parallel", "2"]
    return make_server(["--models-dir", str(models_dir), *args]).start()


def post(server: ServerProcess, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=body, timeout=SOON_S)


def rendered(server: ServerProcess, model: str, roles: str = "user:hi", **fields: Any) -> str:
    messages = [dict(zip(("role", "content"), turn.split(":"), strict=True)) for turn in
                roles.split()]  # fmt: skip
    reply = post(server, "/apply-template", model=model, messages=messages, **fields)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["prompt"])


def test_templates_of_all_places(server: ServerProcess, models_dir: Path) -> None:
    assert rendered(server, "yaml") == "of the YAML"
    assert rendered(server, "chosen") == "chosen"
    assert rendered(server, "beside") == "beside default "
    variables = {"mine": "own", "more": {"a": 1}}
    assert rendered(server, "beside", chat_template_kwargs=variables) == "beside own 1"
    # the file's own, and its variant for tools
    assert rendered(server, "own") == "[user:hi]"
    assert rendered(server, "own", tools=TOOLS) == "<tool_call> weather[user:hi]"
    props = httpx.get(f"{server.url}/props", params={"model": "own"}, timeout=SOON_S).json()
    assert (props["chat_template"], props["chat_template_tool_use"]) == (OWN, FOR_TOOLS)
    # what is refused is arranged, or told in the template's words
    assert rendered(server, "own", "user:a system:b") == "[system:b][user:a]"
    messages = [{"role": "user", "content": "land"}]
    reply = post(server, "/v1/chat/completions", model="own", messages=messages)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].endswith("refuses these messages: Ask about the sea.")
    # a changed file is taken up with the configuration
    (models_dir / "beside.jinja").write_text("changed")
    assert post(server, "/models/reload").status_code == 200
    assert rendered(server, "beside") == "changed"
    # one that cannot be compiled is an error of its model
    (models_dir / "beside.jinja").write_text("{% for m in messages %}")
    post(server, "/models/reload")
    reply = post(server, "/apply-template", model="beside", messages=messages)
    assert reply.status_code == 503
    assert "chat template cannot be used" in reply.text
