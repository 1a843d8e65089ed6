"""The command `llm`, as users run it, over OpenAI's API and (llm-ollama) over Ollama's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import FIRST, MODEL, TIMEOUT_S
from tests.support.server import ServerProcess

Run = Callable[..., str]
TOOLS = 'def weather(city: str) -> str:\n    """The weather of a city."""\n    return "rain"\n'


@pytest.fixture
def run(server: ServerProcess, tmp_path: Path) -> Run:
    """Runs the command with a configuration that names the server."""
    model = {"model_id": "ours", "model_name": MODEL, "api_base": f"{server.url}/v1"}
    model |= {"api_key_name": "ours", "supports_schema": True, "supports_tools": True}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))
    (tmp_path / "keys.json").write_text(json.dumps({"ours": FIRST}))
    env = {
        **os.environ,
        "LLM_USER_PATH": str(tmp_path),
        "OLLAMA_HOST": server.url,
        "OLLAMA_HEADERS": f"Authorization=Bearer {FIRST}",
    }
    command = Path(sys.executable).with_name("llm")

    def output_of(*args: str) -> str:
        done = subprocess.run(
            [command, *args],
            env=env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return output_of


@pytest.mark.parametrize("model", ["ours", f"{MODEL}:latest"])
def test_a_prompt_a_conversation_and_a_schema(run: Run, model: str) -> None:
    ollama = model != "ours"
    short = ["-o", "num_predict" if ollama else "max_tokens", "40", "-o", "temperature", "0"]
    streamed = run("prompt", "-m", model, *short, "Say hello.")
    assert streamed.strip()
    assert run("prompt", "-m", model, "--no-stream", *short, "Say hello.") == streamed
    assert run("prompt", "-m", model, *short, "--continue", "Once more.").strip()
    told = run("prompt", "-m", model, *short, "--schema", "age int", "Anna is 31 years old.")
    assert isinstance(json.loads(told)["age"], int)


def test_functions_are_offered(run: Run) -> None:
    short = ["-o", "max_tokens", "40", "-o", "temperature", "0"]
    assert run("prompt", "-m", "ours", *short, "--functions", TOOLS, "The weather in Rome?")


def test_models_of_ollama_are_listed(run: Run) -> None:
    assert MODEL in run("ollama", "models")
    assert f"Ollama: {MODEL}" in run("models")
