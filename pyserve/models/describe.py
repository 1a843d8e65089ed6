"""Describes a model file for `pyserve info`: metadata, tensors, predicted memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pyserve.engine.config import EngineConfig
from pyserve.gguf.head import check_gguf
from pyserve.gguf.reader import AnyValue, LongArray, Tensor, reading
from pyserve.gguf.tensor_types import n_tensor_bytes, type_name
from pyserve.models.memory import MemoryNeed, ModelShape, memory_need, weight_bytes

CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
TEMPLATE = "tokenizer.chat_template"


@dataclass(frozen=True)
class Description:
    """A model file. metadata: without the template. tensors: the number and bytes of each type.

    memory: what an engine takes, by the context in tokens.
    """

    path: Path
    n_bytes: int
    n_params: int
    metadata: dict[str, AnyValue]
    template: str | None
    tensors: dict[str, tuple[int, int]]
    memory: dict[int, MemoryNeed]

    def as_json(self) -> dict[str, Any]:
        return {
            "file": str(self.path),
            "size_bytes": self.n_bytes,
            "n_params": self.n_params,
            "metadata": {
                key: {"length": value.n} if isinstance(value, LongArray) else value
                for key, value in self.metadata.items()
            },
            "chat_template": self.template,
            "tensors": {
                name: {"count": count, "bytes": n_bytes}
                for name, (count, n_bytes) in self.tensors.items()
            },
            "memory": {
                str(n_ctx): {
                    "weights": need.weights,
                    "kv_cache": need.kv,
                    "compute": need.compute,
                    "total": need.total,
                }
                for n_ctx, need in self.memory.items()
            },
        }


def describe_file(path: Path, config: EngineConfig) -> Description:
    """Describe a file. config: the settings to predict memory for, but for the context.

    Raises ModelLoadError when the head of the file is damaged.
    """
    check_gguf(path)
    with reading(path) as reader:
        metadata = reader.metadata()
        tensors = reader.tensors()
    n_bytes = weight_bytes(path)
    template = metadata.pop(TEMPLATE, None)
    return Description(
        path=path,
        n_bytes=n_bytes,
        n_params=sum(math.prod(tensor.shape) for tensor in tensors),
        metadata=metadata,
        template=template if isinstance(template, str) else None,
        tensors=_by_type(tensors),
        memory=_by_context(metadata, n_bytes, config),
    )


def _by_type(tensors: list[Tensor]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for tensor in tensors:
        name = type_name(tensor.kind)
        count, n_bytes = found.get(name, (0, 0))
        found[name] = (count + 1, n_bytes + n_tensor_bytes(tensor.kind, math.prod(tensor.shape)))
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def _by_context(
    metadata: Mapping[str, AnyValue], n_bytes: int, config: EngineConfig
) -> dict[int, MemoryNeed]:
    n_most = ModelShape(metadata).number("context_length")
    contexts = [n_ctx for n_ctx in CONTEXTS if n_ctx < n_most]
    if n_most:
        contexts.append(n_most)
    return {
        n_ctx: memory_need(metadata, n_bytes, msgspec.structs.replace(config, n_ctx=n_ctx, n_kv=0))
        for n_ctx in contexts
    }
