"""Quantizes a model file in a process of its own, with progress."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from pyserve.engine.quantize_job import QuantizeJob
from pyserve.errors import InvalidRequestError, ModelLoadError
from pyserve.gguf.head import check_gguf
from pyserve.gguf.reader import Tensor, reading
from pyserve.gguf.tensor_types import bits_per_value, type_name
from pyserve.models.download.progress import Progress
from pyserve.models.download.sources import file_size

POLL_S = 0.2
UNQUANTIZED = frozenset({"F32", "F16", "BF16", "F64"})
BLOCK = 256  # values in a block of the types of llama.cpp's "K" and "I" kinds


class Written(msgspec.Struct, frozen=True):
    """The matrices of a new file. n_by_type: how many have each type, the most frequent first.

    n_wider: those that got a wider type than others, for their rows, of `widths` values, are no
    whole number of the type's blocks.
    """

    n_by_type: dict[str, int]
    n_wider: int = 0
    widths: tuple[int, ...] = ()


def quantize_file(job: QuantizeJob, progress: Progress, *, is_forced: bool = False) -> Written:
    """Quantize a file; the new one appears by one rename when it is complete.

    is_forced: replace an existing file. Raises InvalidRequestError or ModelLoadError.
    """
    source, target = Path(job.path_in), Path(job.path_out)
    check_gguf(source)
    if target.exists() and (not is_forced or target.samefile(source)):
        raise InvalidRequestError(f"{target} exists; --force replaces it, but never the input")
    if not job.allow_requantize:
        _check_unquantized(source)
    part = target.with_name(f".{target.name}.part")
    progress.set_total(expected_bytes(source, job.type))
    try:
        _run(msgspec.structs.replace(job, path_out=str(part)), part, progress)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return written(target, job.type)


def written(path: Path, kind: str) -> Written:
    """What a file of this kind has become."""
    matrices = _matrices(path)
    counts = Counter(type_name(each.kind) for each in matrices)
    has_large_blocks = "_K" in kind or (kind.startswith(("IQ", "TQ")) and kind != "IQ4_NL")
    wider = [each for each in matrices if has_large_blocks and each.shape[0] % BLOCK]
    widths = sorted({each.shape[0] for each in wider})
    return Written(dict(counts.most_common()), len(wider), tuple(widths))


def _check_unquantized(path: Path) -> None:
    types = {type_name(each.kind) for each in _matrices(path)} - UNQUANTIZED
    if types:
        raise InvalidRequestError(
            f"{path} has weights of {', '.join(sorted(types))} already; quantizing them again loses"
            " more than quantizing the original would; --allow-requantize does it"
        )


def _matrices(path: Path) -> list[Tensor]:
    with reading(path) as reader:
        reader.metadata()
        return [tensor for tensor in reader.tensors() if len(tensor.shape) > 1]


def expected_bytes(path: Path, kind: str) -> int | None:
    """About how large the new file will be; None for a type of mixed sizes that is not known."""
    bits = bits_per_value(kind)
    if bits is None:
        return None
    return int(sum(math.prod(each.shape) for each in _matrices(path)) * bits / 8)


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
