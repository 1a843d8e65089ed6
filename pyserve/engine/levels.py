"""Which of a wheel's native modules fits this machine.

A build from source has one module, `pyserve._native`, for the CPU that built it. A wheel has one
for each level of x86-64, `pyserve/levels/LEVEL/_native.*.so`, and `_levels`, a small module for any
CPU that knows what each level needs.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

LEVEL_ENV = "PYSERVE_CPU_LEVEL"

Level = tuple[str, Sequence[str]]
"""Its name, and the CPU features that it needs."""


def choose_level(
    levels: Sequence[Level], missing: Callable[[Sequence[str]], str], wanted: str = ""
) -> str:
    """The highest level whose features are there, or `wanted` if they are there for it.

    levels: from the lowest. missing: which of some features are not there, "" = all are.
    Raises ImportError, with what is missing.
    """
    names = [name for name, _ in levels]
    if wanted and wanted not in names:
        raise ImportError(f"{LEVEL_ENV} is {wanted!r}, this package has {', '.join(names)}")
    allowed = [level for level in levels if wanted in ("", level[0])]
    for name, features in reversed(allowed):
        if not missing(features):
            return name
    lowest, features = allowed[0]
    raise ImportError(
        f"pyserve for {lowest} needs CPU features that this machine does not have, or that its "
        f"system does not grant: {missing(features)}"
    )


def load_native(name: str) -> None:
    """Put the native module for this machine into `sys.modules` as `name`. Raises ImportError."""
    from pyserve import _levels  # type: ignore[attr-defined]  # noqa: PLC0415  # wheels alone have it

    wanted = os.environ.get(LEVEL_ENV, "")
    level = choose_level(_levels.levels, _levels.missing_features, wanted)
    path = next(Path(_levels.__file__).parent.glob(f"levels/{level}/_native.*.so"))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
