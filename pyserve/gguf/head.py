"""Recognizes a GGUF file and reads its metadata: quantization, trained context.

Source: the GGUF specification, versions 2 and 3 (little-endian).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from pyserve.errors import ModelLoadError
from pyserve.gguf.old_formats import describe_old
from pyserve.gguf.reader import HEAD, Value, reading

MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_OTHER_FORMATS: Final = {
    b"algg": "a GGML adapter (LoRA)",
    b"PK\x03\x04": "a PyTorch checkpoint",
    b"<!DO": "a web page, not a model",
    b"<htm": "a web page, not a model",
    b"vers": "a Git LFS pointer, not the file itself",
}
FILE_TYPE: Final = "general.file_type"
# As llama.cpp numbers them.
_QUANTIZATIONS: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
}  # fmt: skip


def check_gguf(path: Path) -> None:
    """Raise ModelLoadError unless `path` is a regular file that starts like a GGUF we can load."""
    if not path.exists():
        raise ModelLoadError(f"{path} does not exist")
    if not path.is_file():
        raise ModelLoadError(f"{path} is not a regular file")
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD.size)
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror}") from error
    if not head:
        raise ModelLoadError(f"{path} is empty; get the file again")
    if head[:4] != MAGIC:
        raise ModelLoadError(_explain_format(path, head))
    if len(head) < HEAD.size:
        raise ModelLoadError(f"{path} is cut off after {len(head)} bytes; get the file again")
    version = HEAD.unpack(head)[1]
    if version & 0xFFFF == 0:
        raise ModelLoadError(f"{path} is a big-endian GGUF; convert it to little-endian")
    if version not in _VERSIONS:
        raise ModelLoadError(f"{path} is GGUF version {version}; versions 2 and 3 are supported")


def is_old_model(path: Path) -> bool:
    """Whether the file is of a LLaMA format before GGUF; False if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return describe_old(stream.read(HEAD.size)) is not None
    except OSError:
        return False


def read_metadata(path: Path, keys: Collection[str]) -> dict[str, Value]:
    """The values of those `keys` that the file has; arrays are left out.

    Stops as soon as all are found. Raises ModelLoadError when the metadata is damaged.
    """
    check_gguf(path)
    with reading(path) as reader:
        return reader.find(keys)


def quantization(path: Path) -> str | None:
    """The quantization of the weights, by the file's metadata; None if it does not say."""
    return quantization_in(read_metadata(path, [FILE_TYPE]))


def quantization_in(metadata: Mapping[str, object]) -> str | None:
    """The same by metadata that was read."""
    value = metadata.get(FILE_TYPE)
    return _QUANTIZATIONS.get(value) if isinstance(value, int) else None


def trained_context(path: Path, instead: Mapping[str, Value] | None = None) -> int | None:
    """The context in tokens that the model was trained for; None if the file does not say.

    instead: values that count instead of the file's.
    """
    architecture = read_metadata(path, ["general.architecture"]).get("general.architecture")
    key = f"{architecture}.context_length"
    value = (read_metadata(path, [key]) | dict(instead or {})).get(key)
    return value if isinstance(value, int) and value > 0 else None


def _explain_format(path: Path, head: bytes) -> str:
    old = describe_old(head)
    if old is not None:
        return (
            f"{path} has the old {old} format; make a GGUF file of it with: "
            f"pyserve convert {path.name} NEW.gguf"
        )
    name = _OTHER_FORMATS.get(head[:4])
    if name is None:
        return f"{path} is not a GGUF file (it starts with {head[:4]!r})"
    return f"{path} is {name}; pyserve serves GGUF files only: get or convert the model as GGUF"
