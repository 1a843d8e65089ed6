"""LoRA adapters named by `--lora` and by models' YAML files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from pyserve.engine.config import Adapter
from pyserve.errors import ModelLoadError
from pyserve.gguf.head import check_gguf
from pyserve.gguf.kind import file_kind
from pyserve.models.localai.schema import LocalModel
from pyserve.models.model_file import ModelFile
from pyserve.models.templates.paths import file_inside
from pyserve.schemas.fields.lora import MAX_ADAPTERS, MAX_SCALE


class Named(NamedTuple):
    """An adapter as the user names it. name: "" means the file's name."""

    name: str
    path: str
    scale: float


def yaml_adapters(directory: Path, values: LocalModel) -> list[Named]:
    """The adapters of a YAML file, `[NAME=]PATH` each. Raises ModelLoadError."""
    texts, scales = list(values.lora_adapters), list(values.lora_scales)
    if len(scales) > len(texts):
        problem = f"lora_scales: there are {len(scales)} for {len(texts)} lora_adapters"
        raise ModelLoadError(problem)
    scales += [1.0] * (len(texts) - len(scales))
    if values.lora_adapter:
        texts.insert(0, values.lora_adapter)
        scales.insert(0, values.lora_scale or 1.0)
    named = [Named(*_split_name(text), scale) for text, scale in zip(texts, scales, strict=True)]
    for adapter in named:
        if _found(directory, adapter.path) is None:
            raise ModelLoadError(f"lora_adapters: {adapter.path!r} is not in the models directory")
    return named


def parsed_adapter(text: str) -> Named:
    """An adapter of an option, `[NAME=]PATH[:SCALE]`. Raises ModelLoadError."""
    name, rest = _split_name(text)
    path, _, last = rest.rpartition(":")
    try:
        scale = float(last) if path else 1.0
    except ValueError:
        path, scale = "", 1.0
    if not abs(scale) <= MAX_SCALE:
        raise ModelLoadError(f"--lora: the scale of {path!r} is {scale:g}, at most {MAX_SCALE:g}")
    return Named(name, path or rest, scale)


def with_lora(file: ModelFile, named: Iterable[Named], directory: Path) -> ModelFile:
    """The model with further adapters.

    A path is that of a file in the models directory, else of any file. Raises ModelLoadError.
    """
    adapters = (*file.profile.adapters, *(_adapter(each, file.id, directory) for each in named))
    names = [adapter.name for adapter in adapters]
    for name in names:
        if names.count(name) > 1:
            raise ModelLoadError(f"two LoRA adapters of {file.id} have the name {name!r}")
    if len(adapters) > MAX_ADAPTERS:
        raise ModelLoadError(f"{file.id} has {len(adapters)} LoRA adapters, at most {MAX_ADAPTERS}")
    if not adapters:
        return file
    profile = msgspec.structs.replace(file.profile, adapters=adapters)
    return replace(file, profile=profile, settings={**file.settings, "adapters": adapters})


def _adapter(named: Named, model_id: str, directory: Path) -> Adapter:
    path = _found(directory, named.path) or Path(named.path).expanduser().absolute()
    check_gguf(path)
    if file_kind(path) != "adapter":
        raise ModelLoadError(f"{path} is no LoRA adapter")
    name = named.name or path.stem
    joined = f"{model_id}-{name}"
    if named.name:
        return Adapter(name, str(path), named.scale, name, (joined,))
    return Adapter(name, str(path), named.scale, joined, (name,))


def _split_name(text: str) -> tuple[str, str]:
    """The name, "" if there is none, and the rest."""
    name, sign, rest = text.partition("=")
    if not sign or "/" in name:
        return "", text.strip()
    return name.strip(), rest.strip()


def _found(directory: Path, name: str) -> Path | None:
    found = file_inside(directory, name, f"{name}.gguf", may_link_out=True)
    return None if found is None else found[0]
