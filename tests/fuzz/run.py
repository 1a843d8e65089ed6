"""Fuzzes one target in Python for a while: `python -m tests.fuzz.run TARGET SECONDS FOLDER`.

With atheris, guided by coverage, where it is installed; else with mutations of the corpus. New
inputs of interest go into FOLDER, and what fails into the working directory. An exception is a
finding.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.mutate import MAX_BYTES, mutated

try:
    import atheris
except ImportError:
    atheris = None


def main(target: str, seconds: int, folder: str) -> None:
    """Runs until the time is over or something is found."""
    watched = atheris.instrument_imports(["pyserve"]) if atheris else contextlib.nullcontext()
    with watched:
        targets = importlib.import_module("tests.fuzz.targets")
    run = targets.TARGETS[target]
    if atheris is None:
        mutate(run, [path.read_bytes() for path in targets.corpus(target)], seconds)
        return
    limits = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", "-timeout=10"]
    atheris.Setup([target, *limits, folder, str(targets.CORPUS / target)], run)
    atheris.Fuzz()  # ends the process


def mutate(run: Callable[[bytes], None], inputs: list[bytes], seconds: int) -> None:
    """The input that runs is in the file fuzz-input."""
    rng = random.Random()
    end = time.monotonic() + seconds
    n_inputs = 0
    while time.monotonic() < end:
        data = mutated(rng.choice(inputs), inputs, rng)
        Path("fuzz-input").write_bytes(data)
        run(data)
        n_inputs += 1
    print(f"{n_inputs} inputs")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
