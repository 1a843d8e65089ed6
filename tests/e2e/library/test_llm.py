"""`pyserve.LLM` over the default model, and the examples."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import pyserve
from tests.e2e.conftest import TIMEOUT_S
from tests.support.limits import SOON_S
from tests.support.server import ServerProcess, wait_until

pytestmark = pytest.mark.model

EXAMPLES = Path("examples")
MODEL = "smollm2-135m-instruct"
GREEDY = pyserve.SamplingParams(temperature=0, max_tokens=24)
# What each example prints at least; those of the list take an LLM.
OF_LLM = {
    "chat": "Usage(",
    "stream": "(64 tokens)",
    "structured": "city",
    "tools": "get_weather",
    "batch": "prompt tokens shared)",
    "logits": "' Paris'",
    "search": "Rain falls",
}


@pytest.fixture(scope="module")
def llm() -> Iterator[pyserve.LLM]:
    with pyserve.LLM(MODEL, threads=1) as llm:  # a server runs beside it
        yield llm


def main_of(example: str) -> Callable[[Any], None]:
    return runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="example")["main"]


@pytest.mark.parametrize("example", OF_LLM)
def test_the_example_runs(
    llm: pyserve.LLM, example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main_of(example)(llm)
    assert OF_LLM[example] in capsys.readouterr().out


def test_the_example_of_a_client_runs(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    with pyserve.Client(server.url) as client:
        main_of("client")(client)
    assert "Once upon a time" in capsys.readouterr().out


def test_the_example_of_an_event_loop_runs_as_a_program() -> None:
    command = [sys.executable, "-W", "error", "-X", "dev", str(EXAMPLES / "event_loop.py")]
    environ = os.environ | {"PYSERVE_THREADS": "1"}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )

    assert (done.returncode, done.stderr.count("Error")) == (0, 0), done.stderr
    assert "What is a cloud?" in done.stdout


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*OF_LLM, "client", "event_loop"}


def test_a_library_answers_as_a_server(llm: pyserve.LLM, model_server: ServerProcess) -> None:
    with pyserve.Client(model_server.url, model=MODEL) as client:
        for ask in ("generate", "chat"):
            ours, theirs = (
                getattr(each, ask)("Once upon a time", GREEDY) for each in (llm, client)
            )
            assert ours.outputs == theirs.outputs


def test_processors_that_change_nothing_change_no_answer(llm: pyserve.LLM) -> None:
    fields = {"temperature": 0.9, "seed": 5, "max_tokens": 24}
    plain = llm.chat("Tell me about foxes.", pyserve.SamplingParams(**fields))
    params = pyserve.SamplingParams(**fields, logits_processors=[lambda _tokens, _logits: None])
    streamed = "".join(chunk.text for chunk in llm.stream_chat("Tell me about foxes.", params))

    assert llm.chat("Tell me about foxes.", params).text == plain.text
    assert streamed == plain.text


def test_what_a_processor_raises_reaches_the_caller(llm: pyserve.LLM) -> None:
    def fail(_tokens: Any, _logits: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        llm.generate("a", pyserve.SamplingParams(logits_processors=[fail]))


def test_a_crash_of_the_engine_does_not_end_the_program_nor_the_answer(llm: pyserve.LLM) -> None:
    params = pyserve.SamplingParams(temperature=0, max_tokens=200, ignore_eos=True)
    whole = llm.generate("Once upon a time", params).text
    (engine,) = engines_below(os.getpid())
    pieces = llm.stream("Once upon a time", params)
    text = next(pieces).text
    engine.send_signal(signal.SIGKILL)
    text += "".join(chunk.text for chunk in pieces)

    assert text == whole
    assert [each.pid for each in engines_below(os.getpid())] != [engine.pid]


def test_options_are_those_of_serve() -> None:
    with pytest.raises(pyserve.InvalidRequestError, match="did you mean ctx_size"):
        pyserve.LLM(MODEL, ctx_sise=4096)
    with pytest.raises(pyserve.ModelNotFoundError, match="no model 'nothing'"):
        pyserve.LLM("nothing")


def test_nothing_is_left_of_a_program_that_is_killed() -> None:
    source = f"""
import pyserve, sys
llm = pyserve.LLM({MODEL!r}, engine="fake", ctx_size=64)
print(llm.info.n_ctx, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline().strip() == b"64"
        children = psutil.Process(program.pid).children(recursive=True)
        assert len(children) >= 2  # a supervisor and an engine
        program.kill()
    gone, alive = psutil.wait_procs(children, timeout=SOON_S)
    assert (len(gone), alive) == (len(children), [])


def test_a_closed_model_leaves_no_process_and_no_thread() -> None:
    n_threads = threading.active_count()
    children = set(psutil.Process().children(recursive=True))
    with pyserve.LLM(MODEL, engine="fake") as llm:
        assert llm.generate("a b").text == "a b"
    llm.close()

    here = psutil.Process()
    wait_until(lambda: not set(here.children(recursive=True)) - children, SOON_S, "processes end")
    wait_until(lambda: threading.active_count() <= n_threads, SOON_S, "threads end")


def engines_below(pid: int) -> list[psutil.Process]:
    """The native engines that this process's own models run in."""
    return [
        process
        for supervisor in psutil.Process(pid).children()
        if "pyserve.cli.supervise" in supervisor.cmdline()
        for process in supervisor.children()
        if "pyserve.engine.main" in process.cmdline()
    ]
