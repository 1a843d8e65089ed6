#!/usr/bin/env python3
"""Installs a wheel into a fresh environment where no compiler is found, and serves with it.

    python -m tools.try_wheel WHEEL [MODEL]     in the repository

MODEL: a file or a name, by default the one that `pyserve pull` gets.

1. pip installs the wheel, and its dependencies from wheels alone.
2. Each level that this machine has runs when it is asked for; with qemu's user mode installed,
   CPUs of other years get theirs, `pyserve doctor` finds no fault there, and a tiny model has the
   log-probabilities that the same kernels compute here.
3. `pyserve serve` answers a chat.

Exit status 1 when something fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.tiny.llama import write_tiny_llama

MAX_ANSWER_S = 30
QEMU = "qemu-x86_64"
# qemu knows no AVX-512: the last two are tried as far as it is their CPU.
QEMU_CPUS = {
    "Nehalem": "x86-64-v2",
    "Haswell": "x86-64-v3",
    "Skylake-Server": "x86-64-v3",
    "Cooperlake": "x86-64-v3",
}
MAX_DIFFERENCE = 0.001  # of log-probabilities by the same kernels
_SHOW_LEVELS = (
    "from pyserve import _levels; "
    "print(*[name for name, needs in _levels.levels if not _levels.missing_features(needs)])"
)
_SCORE = """
import sys
from pyserve.engine.config import EngineConfig
from pyserve.engine.native import LocalEngine
from pyserve.engine.protocol import GenerateRequest, SamplingParams
engine = LocalEngine(EngineConfig(model_id="tiny", model_path=sys.argv[1], n_threads=2))
request = GenerateRequest(
    prompt="the cat jumped out of the window", max_tokens=4, n_prompt_logprobs=0,
    sampling=SamplingParams(temperature=0, ignore_eos=True),
)
deltas = list(engine.submit(request))
assert deltas[-1].finish.usage.n_completion_tokens == 4
print(*[score.logprob for delta in deltas for score in delta.prompt_logprobs or () if score])
engine.close()
"""


class Failure(Exception):
    """What does not work, in words."""


class Environment:
    """A fresh environment that finds its own programs only."""

    def __init__(self, directory: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(directory / "venv")], check=True)
        self.directory = directory
        self._bin = directory / "venv" / "bin"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYSERVE_"))}
        self.environ = kept | {"PATH": str(self._bin)}

    def command(self, program: str, *arguments: str) -> list[str]:
        return [str(self._bin / program), *arguments]

    def output(self, *command: str, **environ: str) -> str:
        """What a command prints; Failure with its last line when it fails."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = [*done.stdout.splitlines(), *done.stderr.splitlines(), ""]
            raise Failure(f"{Path(command[0]).name} ended with {done.returncode}: {lines[-2]}")
        return done.stdout.strip()

    def cpu_report(self, *before: str, **environ: str) -> Any:
        """What `pyserve info --cpu` says. before: the program that runs it."""
        info = self.command("python", "-m", "pyserve", "info", "--cpu", "--json")
        return json.loads(self.output(*before, *info, **environ))


def check_levels(environment: Environment) -> None:
    """Load all levels that this machine can; Failure if one does not load."""
    levels = environment.output(*environment.command("python", "-c", _SHOW_LEVELS)).split()
    _expect("this machine's level", environment.cpu_report()["level"], levels[-1])
    for level in levels:
        report = environment.cpu_report(PYSERVE_CPU_LEVEL=level)
        _check_report(f"{level}, this CPU", report, level)


def check_other_cpus(environment: Environment, qemu: str) -> None:
    """Load the levels of other CPUs, and compute with them; Failure if that goes wrong."""
    model = environment.directory / "tiny.gguf"
    plain = write_tiny_llama(environment.directory / "plain.gguf")
    environment.output(*environment.command("pyserve", "quantize", str(plain), str(model), "Q8_0"))
    score = environment.command("python", "-c", _SCORE, str(model))
    for cpu, level in QEMU_CPUS.items():
        emulated = (qemu, "-cpu", cpu)
        report = environment.cpu_report(*emulated)
        _check_report(f"{level}, a {cpu}", report, level)
        environment.output(*emulated, *environment.command("python", "-m", "pyserve", "doctor"))
        same = {"PYSERVE_CPU_LEVEL": level, "PYSERVE_KERNELS": report["choice"]["kernels"]}
        expected = _numbers(environment.output(*score, **same))
        found = _numbers(environment.output(*emulated, *score))
        worst = max(abs(a - b) for a, b in zip(found, expected, strict=True))
        if worst > MAX_DIFFERENCE:
            raise Failure(f"a {cpu} is wrong by {worst:.3f} in log-probabilities")
        print(f"    pyserve doctor; {len(found)} log-probabilities, {worst:.1g} from those here")


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def _check_report(what: str, report: dict[str, Any], level: str) -> None:
    """Its module runs, and its kernels pass their proof."""
    _expect(what, (report["level"], report["choice"]["falls"]), (level, []))
    print(f"  {what}: kernels {report['choice']['kernels']}")


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Failure(f"{what}: {found!r} instead of {wanted!r}")


@contextlib.contextmanager
def serving(environment: Environment, model: str) -> Iterator[str]:
    """A server, and its address; it may not answer yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = environment.command("pyserve", "serve", model, "--port", str(port))
    with subprocess.Popen(command, cwd=environment.directory, env=environment.environ) as server:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def answer(address: str, deadline_s: float) -> str:
    """What the model says, as soon as it does. deadline_s: by the monotonic clock."""
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=30) as response:
            text = json.load(response)["choices"][0]["message"]["content"]
            assert isinstance(text, str)
            return text
        time.sleep(0.1)
    raise Failure(f"no answer within {MAX_ANSWER_S} s")


def main(argv: Sequence[str]) -> int:
    wheel = Path(argv[0]).resolve()
    with tempfile.TemporaryDirectory(prefix="pyserve-wheel-") as directory:
        environment = Environment(Path(directory))
        try:
            started_s = time.monotonic()
            pip = environment.command("python", "-m", "pip", "--disable-pip-version-check")
            environment.output(*pip, "install", "--only-binary=:all:", str(wheel))
            print(f"installed in {time.monotonic() - started_s:.1f} s")
            check_levels(environment)
            if qemu := shutil.which(QEMU):
                check_other_cpus(environment, qemu)
            else:
                print(f"{QEMU} is not there: other CPUs were left out")
            model = environment.output(*environment.command("pyserve", "pull", *argv[1:]))
            started_s = time.monotonic()
            with serving(environment, model) as address:
                text = answer(address, started_s + MAX_ANSWER_S)
                print(f"answered {text!r} {time.monotonic() - started_s:.1f} s after the start")
        except Failure as failure:
            sys.stderr.write(f"wheel: {failure}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
