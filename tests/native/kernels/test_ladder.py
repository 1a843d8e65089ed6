"""Choosing kernels, and what `pyserve info --cpu` says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import get_args

import pytest

from pyserve.config import Kernels
from pyserve.engine.kernels import AUTOMATIC
from pyserve.engine.native import choose_kernels, report_cpu
from pyserve.errors import InvalidRequestError
from tests.support.kernels import chosen_kernels


def info(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyserve", "info", "--cpu", *arguments]
    return subprocess.run(
        command, env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_option_has_the_names_of_the_native_module() -> None:
    names = [rung.kernels for rung in report_cpu(AUTOMATIC).ladder]
    assert names[-1] == "stock"
    assert [name for name in get_args(Kernels) if name in names] == names


def test_lower_kernels_follow_down_to_stock() -> None:
    kernels = [AUTOMATIC]
    while kernels[-1]:
        choice = choose_kernels(kernels[-1])
        assert choice.kernels == kernels[-1] or kernels == [AUTOMATIC]
        kernels.append(choice.lower)
    assert tuple(kernels[1:-1]) == chosen_kernels()[1:]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"allowed are auto, (amx|i8mm)"):
        choose_kernels("mmx")


@pytest.mark.skipif(len(chosen_kernels()) < 3, reason="there are too few kernels")
def test_what_failed_and_what_is_used_is_told() -> None:
    best, second, third, *_ = chosen_kernels()
    faults = f"{best}:proof:SIGILL,{second}:proof:wrong"
    text = info(PYSERVE_KERNELS="auto", PYSERVE_KERNEL_FAULTS=faults).stdout
    lines = dict(line.split(None, 1) for line in text.splitlines() if line.startswith("  "))
    assert lines[best] == "failed its proof: SIGILL"
    assert lines[second].startswith("failed its proof: the product of ")
    assert lines[third] == "used"
    assert lines["stock"] in ("can be used", "used")


def test_as_json() -> None:
    facts = json.loads(info("--json", PYSERVE_KERNELS="stock").stdout)
    assert facts["choice"] == {"kernels": "stock", "lower": "", "falls": []}
    assert facts["usable_cores"] >= 1
    names = {feature["name"] for feature in facts["features"]}
    assert names >= {"avx2", "amx-tile"} or names >= {"dotprod", "i8mm"}


@pytest.mark.parametrize(
    ("name", "value"), [("PYSERVE_KERNELS", "mmx"), ("PYSERVE_KERNEL_FAULTS", "stock")]
)
def test_bad_values_are_named(name: str, value: str) -> None:
    result = info(**{name: value})
    assert result.returncode == 1
    assert f"Error: {name}" in result.stderr
    assert "Traceback" not in result.stderr
