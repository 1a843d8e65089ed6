"""GET /api/tags, /api/ps, POST /api/show: the served models as Ollama describes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.backend.protocol import ModelStatus
from pyserve.gguf.reader import AnyValue, LongArray
from pyserve.models.facts import FileFacts
from pyserve.models.routing import LATEST, is_pattern
from pyserve.ollama.times import rfc3339
from pyserve.openai.tools.recognition import may_think

NEVER = datetime(2318, 1, 1, tzinfo=UTC)
UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))


class OllamaDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of model it is. family: its architecture; empty where the file does not say it."""

    parent_model: str = ""
    format: str = "gguf"
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaModel(msgspec.Struct, frozen=True, kw_only=True):
    """A served model under one of its names. size: bytes of its file.

    digest_is_hash: it is the SHA-256 of the file; else a hash of its name, size and time.
    """

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    digest_is_hash: bool
    details: OllamaDetails


class OllamaModels(msgspec.Struct, frozen=True):
    """All served models."""

    models: list[OllamaModel]


class OllamaProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded model. size: bytes of memory. expires_at: when it leaves if nobody asks from now on.

    context_length: most tokens of a request.
    """

    name: str
    model: str
    size: int
    digest: str
    details: OllamaDetails
    expires_at: str
    size_vram: int = 0
    context_length: int


class OllamaProcesses(msgspec.Struct, frozen=True):
    """All loaded models."""

    models: list[OllamaProcess]


class OllamaShow(msgspec.Struct, frozen=True, kw_only=True):
    """A model. model_info: the keys of its file; lists are null, as those of the vocabulary.

    template: of chats, in Jinja. parameters: the defaults of its requests, one in a line.
    """

    modified_at: str
    details: OllamaDetails
    model_info: dict[str, Any]
    template: str
    parameters: str
    capabilities: list[str]
    license: str | UnsetType = UNSET


class OllamaVersion(msgspec.Struct, frozen=True):
    """version: of Ollama's API that is followed. pyserve: the server's own."""

    version: str
    pyserve: str


def listed(status: ModelStatus, facts: FileFacts | None) -> list[OllamaModel]:
    """The model under its id and the further names that were given to it."""
    details = _details(status, facts)
    digest = "" if facts is None else facts.digest
    return [
        OllamaModel(
            name=name,
            model=name,
            modified_at=_changed_at(status, facts),
            size=0 if facts is None else facts.n_bytes,
            digest=digest,
            digest_is_hash=facts is not None and facts.is_hash,
            details=details,
        )
        for name in map(tagged, _names(status))
    ]


def running(
    status: ModelStatus, facts: FileFacts | None, now: datetime, now_s: float
) -> OllamaProcess:
    """A loaded model. now_s: now, by the monotonic clock."""
    stays_s = None if status.expires_at is None else max(status.expires_at - now_s, 0.0)
    return OllamaProcess(
        name=tagged(status.id),
        model=tagged(status.id),
        size=status.n_bytes,
        digest="" if facts is None else facts.digest,
        details=_details(status, facts),
        expires_at=rfc3339(NEVER if stays_s is None else now + timedelta(seconds=stays_s)),
        context_length=0 if status.info is None else status.info.n_ctx,
    )


def shown(status: ModelStatus, facts: FileFacts | None) -> OllamaShow:
    """All that is known of a model."""
    metadata = {} if facts is None else facts.metadata
    known = {"general.parameter_count": facts.n_params} if facts is not None else {}
    license_name = metadata.get("general.license")
    return OllamaShow(
        modified_at=_changed_at(status, facts),
        details=_details(status, facts),
        model_info={**{key: _plain(value) for key, value in metadata.items()}, **known},
        template=_template(status, facts),
        parameters=_parameters(status),
        capabilities=capabilities(status, facts),
        license=license_name if isinstance(license_name, str) else UNSET,
    )


def capabilities(status: ModelStatus, facts: FileFacts | None) -> list[str]:
    """What it can do, in Ollama's words; by the file where it is not loaded."""
    info = status.info
    generates = facts is None or facts.generates if info is None else info.can_generate
    fills_in = facts is not None and facts.fills_in if info is None else info.fim_pre_token >= 0
    if info is not None and info.n_ranks > 0:
        return []  # Ollama has none
    found = []
    if generates and not (facts is not None and facts.is_embedder):
        found += ["completion", "tools"]
        found += ["thinking"] if may_think(_template(status, facts)) else []
        found += ["insert"] if fills_in else []
    return found or ["embedding"]


def tagged(name: str) -> str:
    """A name with a tag, as Ollama's have."""
    return name if ":" in name else name + LATEST


def size_text(n: int) -> str:
    """A number of parameters for people: 134.52M, 1.2B, 7B."""
    for unit, letter in UNITS:
        if n >= unit:
            shown_n = n / unit
            n_digits = 2 if letter == "M" else 1
            text = f"{shown_n:.{n_digits}f}".rstrip("0").rstrip(".")
            return f"{text}{letter}"
    return str(n)


def _names(status: ModelStatus) -> Iterable[str]:
    """Its id and aliases, without patterns and the names of its file, which it has by itself."""
    path = PurePath(status.model_path)
    own = {status.id, path.name, path.stem}
    names: Sequence[str] = status.profile.aliases
    return [status.id, *(name for name in names if not is_pattern(name) and name not in own)]


def _changed_at(status: ModelStatus, facts: FileFacts | None) -> str:
    seconds = status.created if facts is None else facts.changed_s
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def _details(status: ModelStatus, facts: FileFacts | None) -> OllamaDetails:
    info = status.info
    family = facts.architecture if facts is not None else info.architecture if info else ""
    n_params = facts.n_params if facts is not None else info.n_params if info else 0
    kind = facts.quantization if facts is not None else info.quantization if info else ""
    return OllamaDetails(
        family=family,
        families=[family] if family else [],
        parameter_size=size_text(n_params) if n_params else "",
        quantization_level=kind or "unknown",
    )


def _template(status: ModelStatus, facts: FileFacts | None) -> str:
    if status.info is not None:
        return status.info.file_template
    return "" if facts is None else facts.template


def _parameters(status: ModelStatus) -> str:
    """Request defaults of the model's configuration that are plain values, and its stops."""
    lines = [
        f"{name:<30} {value}"
        for name, value in status.profile.defaults.items()
        if isinstance(value, int | float | str)
    ]
    return "\n".join([*lines, *(f'{"stop":<30} "{text}"' for text in status.profile.stop)])


def _plain(value: AnyValue) -> Any:
    """A value of the file's metadata as JSON has it."""
    return None if isinstance(value, list | LongArray) else value
