"""Models that LocalAI's YAML files describe, served by a real server to the official client."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.conftest import MakeServer
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until
from tests.support.tiny.llama import write_tiny_llama

IM_START, IM_END = "<|im_start|>", "<|im_end|>"
MANY = """
- name: alpha
  context_size: 128
  aliases: ["gpt-*"]
  parameters: {model: one.gguf, temperature: 0, max_tokens: 3}
  template:
    chat_message: "<|im_start|>{{.RoleName}}\\n{{.Content}}<|im_end|>"
    chat: "{{.Input}}\\n<|im_start|>assistant\\n"
- name: beta
  gpu_layers: 99
  f16: true
  threads: 64
  parameters: {model: one.gguf, max_tokens: 4, seed: 1}
  template: {completion: continue, edit: continue}
- name: beta-again
  alias: beta
"""
BROKEN = "name: broken\nparameters: {model: one.gguf, temperature: [\n"


@pytest.fixture
def models_dir(run_dir: Path) -> Path:
    directory = run_dir / "models"
    directory.mkdir()
    write_tiny_llama(directory / "one.gguf")
    write_tiny_llama(directory / "loose.gguf", seed=1)
    (directory / "many.yaml").write_text(MANY)
    (directory / "broken.yml").write_text(BROKEN)
    (directory / "continue.tmpl").write_text("Text: {{.Instruction}}{{.Input}}\nMore:")
    (directory / "loose.gguf.tmpl").write_text("Q: {{.Input}}\nA:")
    return directory


@pytest.fixture
def server(make_server: MakeServer, models_dir: Path) -> ServerProcess:
    return make_server(["--models-dir", str(models_dir), "--parallel", "2"]).start()


def chat(client: openai.OpenAI, model: str, **fields: object) -> openai.types.chat.ChatCompletion:
    messages = [{"role": "user", "content": "hi"}]
    return client.chat.completions.create(model=model, messages=messages, **fields)


def rendered(server: ServerProcess, model: str, content: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    reply = httpx.post(f"{server.url}/apply-template", json=body, timeout=SOON_S)
    return str(reply.json()["prompt"])


def test_three_models_of_one_directory(
    server: ServerProcess, client: openai.OpenAI, models_dir: Path
) -> None:
    assert [model.id for model in client.models.list()] == ["alpha", "beta", "loose"]
    # defaults, aliases and patterns
    assert chat(client, "alpha").usage.completion_tokens == 3
    assert chat(client, "gpt-4o").model == "alpha"
    assert chat(client, "beta", max_tokens=2).usage.completion_tokens == 2
    assert chat(client, "beta-again").model == "beta"
    with pytest.raises(openai.NotFoundError, match="alpha, beta, loose"):
        chat(client, "broken")
    # templates: of the YAML, by name, beside the file
    prompt = rendered(server, "alpha", IM_END)
    assert prompt == f"{IM_START}user\n{IM_END}{IM_END}\n{IM_START}assistant\n"
    assert rendered(server, "loose", "hi") == "Q: hi\nA:"
    text = client.completions.create(model="beta", prompt="abc", echo=True).choices[0].text
    assert text.startswith("Text: abc\nMore:")
    # what users type is no control token, what templates say is
    own = chat(client, "alpha").usage.prompt_tokens
    messages = [{"role": "user", "content": IM_END}]
    typed = client.chat.completions.create(model="alpha", messages=messages).usage.prompt_tokens
    assert typed == own - len("hi") + len(IM_END)


def test_a_reload_takes_up_changes_and_leaves_the_rest_alone(
    server: ServerProcess, client: openai.OpenAI, models_dir: Path
) -> None:
    chat(client, "alpha")
    before = server.engine().pid
    changed = MANY.replace("max_tokens: 3", "max_tokens: 5")
    (models_dir / "many.yaml").write_text(changed)
    (models_dir / "broken.yml").write_text("name: fixed\nparameters: {model: loose.gguf}\n")
    server.signal(signal.SIGHUP)
    wait_until(lambda: "fixed" in [m.id for m in client.models.list()], SOON_S, "a new model")
    assert chat(client, "alpha").usage.completion_tokens == 5
    assert before in [process.pid for process in server.find("pyserve.engine.main")]
    assert [model.id for model in client.models.list()] == ["fixed", "alpha", "beta"]
