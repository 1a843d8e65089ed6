#!/usr/bin/env python3
"""Runs a command once for each set of kernels that this machine can use, until it fails.

    python tools/each_kernels.py [--below] COMMAND ...

The sets are those of `pyserve info --cpu`, from the best; PYSERVE_KERNELS names them to the
command. --below: leaves out the set that is used unasked, and those above it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence


def usable_kernels(*, below: bool) -> list[str]:
    """Their names, from the best."""
    command = [sys.executable, "-m", "pyserve", "info", "--cpu", "--json"]
    environ = os.environ | {"PYSERVE_KERNELS": "auto"}
    facts = json.loads(subprocess.run(command, env=environ, check=True, capture_output=True).stdout)
    ladder = [rung["kernels"] for rung in facts["ladder"]]
    if below:
        ladder = ladder[ladder.index(facts["choice"]["kernels"]) + 1 :]
    bad = {rung["kernels"] for rung in facts["ladder"] if rung["missing"] or rung["failure"]}
    return [kernels for kernels in ladder if kernels not in bad]


def main(arguments: Sequence[str]) -> int:
    below = list(arguments[:1]) == ["--below"]
    command = arguments[below:]
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    for kernels in usable_kernels(below=below):
        print(f"kernels: {kernels}", flush=True)
        environ = os.environ | {"PYSERVE_KERNELS": kernels}
        code = subprocess.run(command, env=environ, check=False).returncode
        if code != 0:
            print(f"failed with the kernels for {kernels}", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
