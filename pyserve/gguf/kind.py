"""Says what a GGUF file holds: a model, or something that goes with one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pyserve.errors import ModelLoadError
from pyserve.gguf.head import check_gguf
from pyserve.gguf.reader import AnyValue, reading

Kind = Literal["model", "adapter", "projector", "matrix", "vectors", "vocabulary", "part"]

VOCABULARY: Final = "tokenizer.ggml.tokens"  # what a file is stands before it
WORDS: Final[dict[Kind, str]] = {
    "model": "a model",
    "adapter": "a LoRA adapter: serve its model, with --lora or lora_adapters",
    "projector": "a projector for images or sound (mmproj)",
    "matrix": "an importance matrix, made to quantize a model with",
    "vectors": "a control vector",
    "vocabulary": "a vocabulary without a model",
    "part": "a later part of a split model: name its first part",
}
_BY_TYPE: Final[dict[str, Kind]] = {
    "adapter": "adapter",
    "mmproj": "projector",
    "clip-vision": "projector",
    "imatrix": "matrix",
}
_BY_ARCHITECTURE: Final[dict[str, Kind]] = {"clip": "projector", "controlvector": "vectors"}
_PART: Final = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)


def is_gguf_name(name: str) -> bool:
    """Whether a file is called a GGUF file, in letters of any case; hidden files are not."""
    return name.lower().endswith(".gguf") and not name.startswith(".") and len(name) > len(".gguf")


def split_name(name: str) -> tuple[str, int, int] | None:
    """Of a split model's part: its name before the numbers, its number, and of how many.

    None for other files.
    """
    match = _PART.fullmatch(name)
    return (match[1], int(match[2]), int(match[3])) if match else None


def kind_by_name(name: str) -> Kind:
    """What a file holds as far as its name says, for files that are elsewhere."""
    part = split_name(name)
    if part is not None and part[1] > 1:
        return "part"
    words = re.split(r"[^a-z0-9]+", name.lower().removesuffix(".gguf"))
    if "mmproj" in words:
        return "projector"
    return "matrix" if "imatrix" in (words[0], words[-1]) else "model"


def file_kind(path: Path) -> Kind:
    """What a file holds: by its head, or by its name where that does not say it."""
    part = split_name(path.name)
    if part is not None and part[1] > 1:
        return "part"
    try:
        check_gguf(path)
        with reading(path) as reader:
            head = reader.metadata(until=VOCABULARY)
            kind = _kind(head, reader.n_tensors, is_split=part is not None)
            return kind or kind_by_name(path.name)
    except (ModelLoadError, OSError, ValueError):
        return kind_by_name(path.name)


def check_is_model(path: Path) -> None:
    """Raises ModelLoadError unless the file starts like a GGUF, and holds a model."""
    check_gguf(path)
    kind = file_kind(path)
    if kind != "model":
        raise ModelLoadError(f"{path} is {WORDS[kind]}")


def _kind(head: Mapping[str, AnyValue], n_tensors: int, *, is_split: bool) -> Kind | None:
    """What the keys up to the vocabulary say; None if they do not.

    The first part of a split model may have no tensors.
    """
    found = _BY_TYPE.get(str(head.get("general.type", "")))
    found = found or _BY_ARCHITECTURE.get(str(head.get("general.architecture", "")))
    if found:
        return found
    if head.get("split.no") and "general.architecture" not in head:
        return "part"
    has_vocabulary = any(key.startswith("tokenizer.") for key in head)
    if has_vocabulary and n_tensors == 0 and not is_split and "split.count" not in head:
        return "vocabulary"
    return "model" if head.get("general.type") == "model" else None
