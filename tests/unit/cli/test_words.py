"""Names that a user types: those that were meant, and those that the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyserve.cli import COMMANDS, OTHER_NAMES, main
from pyserve.cli.run.commands import OTHER_NAMES as OTHER_CHAT_NAMES
from pyserve.cli.run.commands import Commands
from pyserve.cli.run.session import Session
from pyserve.client.server import Server
from pyserve.spelling import did_you_mean

COMPLETE = (
    'eval "$(_PYSERVE_COMPLETE=bash_source pyserve)"; COMPREPLY=(); COMP_WORDS=({words}); '
    'COMP_CWORD={n}; _pyserve_completion pyserve; echo "${{COMPREPLY[*]}}"'
)


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("hlep", ["exit", "help"], "did you mean help?"),
        ("gemma", ["gemma-3", "qwen", "gemma-4"], "did you mean gemma-3 or gemma-4?"),
        ("smolm", ["smollm2-135m-instruct", "qwen3"], "did you mean smollm2-135m-instruct?"),
        ("a4b", ["a4b-1", "b-A4B", "x-a4b", "y-a4b"], "did you mean a4b-1, b-A4B or x-a4b?"),
        ("xyzzy", ["exit", "help"], ""),
        ("ls", ["tools"], ""),
    ],
)
def test_names_that_are_alike(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


def test_commands_of_other_programs_are_told_by_our_names(tmp_path: Path) -> None:
    for name, ours in OTHER_NAMES.items():
        assert name not in COMMANDS
        assert ours in COMMANDS or ours.startswith("--")
        assert f"did you mean {ours}?" in CliRunner().invoke(main, [name]).stderr
    with Server("http://127.0.0.1:9") as server:
        commands = Commands(session := Session("m"), server, tmp_path)
        assert set(OTHER_CHAT_NAMES.values()) <= set(commands.by_name)
        commands.do("/set parameter temperature 0.5")
        commands.do('/set system "You are a cat."')
        assert (session.settings, session.system) == ({"temperature": 0.5}, "You are a cat.")
        assert commands.do("/?") == commands.do("/help")


def test_bash_completes_commands_options_and_models(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path), "PYSERVE_MODELS_DIR": str(tmp_path)}
    tried = {
        "pyserve ru": "run",
        "pyserve serve --kern": "--kernels",
        "pyserve run smollm2": "smollm2-135m-instruct",
        "pyserve rm smollm2": "",  # nothing is here
        "pyserve unload x": "",  # nobody runs
    }
    script = "; ".join(COMPLETE.format(words=words, n=words.count(" ")) for words in tried)
    done = subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == list(tried.values()), done.stderr
