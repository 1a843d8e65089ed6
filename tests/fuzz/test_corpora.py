"""The inputs that fuzzing begins with, and those it found. `make fuzz` looks for more."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, corpus


@pytest.mark.parametrize(
    ("target", "path"),
    [(target, path) for target in TARGETS for path in corpus(target)],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_input_raises_nothing_but_what_is_promised(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_raise_nothing_but_what_is_promised(target: str) -> None:
    inputs = [path.read_bytes() for path in corpus(target)]
    rng = random.Random(1)
    for _ in range(200):
        TARGETS[target](mutated(rng.choice(inputs), inputs, rng))
