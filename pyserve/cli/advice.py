"""What `pyserve serve` says of better models, when it serves the small default one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pyserve.config import ServeConfig
from pyserve.models.download.progress import format_bytes
from pyserve.models.fitting import Machine, advised, this_machine, tokens_per_s
from pyserve.models.gallery import Gallery, load_gallery


def advice_for(config: ServeConfig, model_ids: Sequence[str]) -> str:
    """The advice, "" if the user chose the models or there is no better one for this machine."""
    gallery = load_gallery()
    if config.models or list(model_ids) != [gallery.default]:
        return ""
    return advice(gallery, this_machine(config.memory_limit_mib), sys.argv[0])


def advice(gallery: Gallery, machine: Machine, program: str) -> str:
    """Names the best model for the machine and the command that gets it; "" if there is none."""
    best = advised(gallery, machine)
    if best is None:
        return ""
    return (
        f"\nThis is a small model, to get going. This machine ({format_bytes(machine.n_bytes)} of "
        f"memory, {machine.n_cores} cores) can run {best.name} ({best.license}): "
        f"{format_bytes(best.size_bytes)}, about {tokens_per_s(best, machine):.0f} tokens/s. "
        f"Get and serve it with:\n\n{_command(program)} serve {best.name}\n\n"
        f"Others: {_command(program)} models --fits"
    )


def _command(program: str) -> str:
    """How the user calls us: the short name where that finds the same program."""
    path = Path(program)
    if not path.name.startswith("pyserve"):
        return "pyserve"
    found = shutil.which(path.name)
    return path.name if found and Path(found).absolute() == path.absolute() else program
