"""Quantizes a model file in a process of its own, with progress."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from pyserve.engine.quantize_job import QuantizeJob
from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.gguf.head import check_gguf
from pyserve.gguf.reader import reading
from pyserve.gguf.tensor_types import bits_per_value
from pyserve.models.download.progress import Progress
from pyserve.models.download.sources import file_size

POLL_S = 0.2


def quantize_file(job: QuantizeJob, progress: Progress, *, is_forced: bool = False) -> None:
    """Quantize a file; the new one appears by one rename when it is complete.

    is_forced: replace an existing file. Raises InvalidRequestError or ModelLoadError.
    """
    source, target = Path(job.path_in), Path(job.path_out)
    check_gguf(source)
    if target.exists() and (not is_forced or target.samefile(source)):
        raise InvalidRequestError(f"{target} exists; --force replaces it, but never the input")
    part = target.with_name(f".{target.name}.part")
    progress.set_total(expected_bytes(source, job.type))
    try:
        _run(msgspec.structs.replace(job, path_out=str(part)), part, progress)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def expected_bytes(path: Path, kind: str) -> int | None:
    """About how large the new file will be; None for a type of mixed sizes that is not known."""
    bits = bits_per_value(kind)
    if bits is None:
        return None
    with reading(path) as reader:
        reader.metadata()
        tensors = reader.tensors()
    matrices = [math.prod(tensor.shape) for tensor in tensors if len(tensor.shape) > 1]
    return int(sum(matrices) * bits / 8)


def _run(job: QuantizeJob, part: Path, progress: Progress) -> None:
    """Wait for the quantizing process; it is killed when we are interrupted."""
    text = msgspec.json.encode(job).decode()
    command = [sys.executable, "-P", "-m", "pyserve.engine.quantize_main", text]
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_S)
                progress.update(file_size(part))
        except BaseException:
            process.kill()
            process.wait()
            raise
        stderr.seek(0)
        lines = stderr.read().decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        raise ModelLoadError(lines[-1] if lines else f"the process ended: {process.returncode}")
