"""`FileFacts`: what a model file says of itself, for lists of models that are not loaded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pyserve.errors import ModelLoadError
from pyserve.gguf.head import check_gguf, quantization_in
from pyserve.gguf.reader import AnyValue, reading
from pyserve.models.download.incoming import remembered_hash
from pyserve.models.gallery import Gallery
from pyserve.models.memory import weight_bytes
from pyserve.models.remove import later_parts

TEMPLATE = "tokenizer.chat_template"
FIM_KEYS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("fim_pre", "prefix"))


@dataclass(frozen=True)
class FileFacts:
    """A model file, with all parts of a split one. metadata: of its first part, without templates.

    digest: 64 hex digits: the file's SHA-256 if `is_hash`, else a hash of its name, size and time,
    which is the same until the file is another one. changed_s: Unix seconds.
    """

    metadata: Mapping[str, AnyValue]
    template: str
    n_params: int
    n_bytes: int
    changed_s: float
    digest: str
    is_hash: bool

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def quantization(self) -> str:
        """The quantization of its weights; "" if it does not say."""
        return quantization_in(self.metadata) or ""

    @property
    def is_embedder(self) -> bool:
        """Whether it is made for vectors: it says how they are pooled."""
        return bool(self.metadata.get(f"{self.architecture}.pooling_type"))

    @property
    def generates(self) -> bool:
        """Whether it makes text: its attention looks back alone."""
        return self.metadata.get(f"{self.architecture}.attention.causal", True) is not False

    @property
    def fills_in(self) -> bool:
        """Whether it names tokens for fill-in-the-middle."""
        return any(key in self.metadata for key in FIM_KEYS)


def file_facts(path: Path, gallery: Gallery) -> FileFacts | None:
    """The facts of a file; None if it cannot be read. Those of files that stay are kept."""
    try:
        status = path.stat()
        entry = gallery.find(path.name)
        is_known = entry is not None and entry.size_bytes == status.st_size
        sha256 = entry.sha256 if entry is not None and is_known else None
        sha256 = sha256 or remembered_hash(path)
        return _read(path, status.st_mtime, status.st_size, sha256)
    except (OSError, ModelLoadError):
        return None


@lru_cache(maxsize=256)
def _read(path: Path, changed_s: float, n_bytes: int, sha256: str | None) -> FileFacts:
    check_gguf(path)
    metadata: dict[str, AnyValue] = {}
    n_params = 0
    for part in (path, *later_parts(path)):
        with reading(part) as reader:
            metadata = {**reader.metadata(), **metadata}
            n_params += sum(math.prod(tensor.shape) for tensor in reader.tensors())
    template = metadata.get(TEMPLATE, "")
    stamp = f"{path.name}\0{n_bytes}\0{changed_s}"
    return FileFacts(
        {key: value for key, value in metadata.items() if not key.startswith(TEMPLATE)},
        template if isinstance(template, str) else "",
        n_params,
        weight_bytes(path),
        changed_s,
        sha256 or hashlib.sha256(stamp.encode()).hexdigest(),
        sha256 is not None,
    )
