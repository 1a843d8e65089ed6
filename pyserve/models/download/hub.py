"""Finds model files in a repository of the Hugging Face hub, or in its local cache.

Only the two addresses that every mirror has are used: the description of a repository, and its
files. `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE` and the cache's place (`HF_HUB_CACHE`, `HF_HOME`)
mean what they mean to the hub's own client.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pyserve.gguf.kind import is_gguf_name, kind_by_name, split_name
from pyserve.models.download.sources import (
    TIMEOUT_S,
    PullError,
    RemoteFile,
    authorized,
    refused,
    unreachable,
)

DEFAULT_ENDPOINT = "https://huggingface.co"
PREFIXES = ("hf.co/", "huggingface.co/", "hf:", "hf://", "huggingface://")
MAX_DESCRIPTION_BYTES = 16 << 20
# Of those without a wish; the later ones for machines that the first are too large for.
PREFERRED = (
    "Q4_K_M", "Q4_1", "Q4_0", "MXFP4", "Q5_K_M", "Q8_0", "Q4_K_S", "IQ4_XS", "IQ4_NL", "Q3_K_M",
    "Q3_K_XL", "Q3_K_S", "IQ3_XXS", "Q2_K_XL", "Q2_K",
)  # fmt: skip
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REFERENCE = re.compile(
    rf"({_NAME}/{_NAME})(?:/([^:\s]+\.(?i:gguf)))?(?::([A-Za-z0-9_.-]{{1,64}}))?"
)
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class HubReference:
    """repo: `owner/name`. file: its path there. quant: the quantization, if no file is named."""

    repo: str
    file: str | None = None
    quant: str | None = None


def parse_reference(text: str) -> HubReference | None:
    """`owner/name`, `owner/name:QUANT` or `owner/name/FILE.gguf`; None for anything else."""
    for prefix in sorted(PREFIXES, key=len, reverse=True):
        if text.startswith(prefix):
            text = text.removeprefix(prefix)
            break
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text:
        return None
    repo, file, quant = match.groups()
    if file is None and repo.lower().endswith(".gguf"):
        return None  # a file in a directory
    return HubReference(repo, file, quant)


class NotInRepositoryError(PullError):
    """The repository is there, the file is not."""


class Hub:
    """The hub, or a mirror of it. environ: where its settings are."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._endpoint = environ.get("HF_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")
        self._token = environ.get("HF_TOKEN") or None
        self._is_offline = environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        home = Path(environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        self._cache = Path(environ.get("HF_HUB_CACHE") or home / "hub")

    def files(self, reference: HubReference, room: int | None = None) -> list[RemoteFile]:
        """The files of the model: one, or all parts of a split one, in order.

        room: without a wish, the quantization is one whose files have no more bytes, if there is.
        Raises PullError.
        """
        if self._is_offline:
            return self._cached_files(reference)
        siblings = self._describe(reference.repo)
        sizes = {sibling["rfilename"]: _size(sibling) or 0 for sibling in siblings}
        names = choose_files(sizes, reference, room)
        return [self._file(reference.repo, by_name(siblings, name)) for name in names]

    def entry_files(self, repo: str, file: str, quant: str) -> list[RemoteFile]:
        """The file that a gallery names, or if the repository has another name for it now, the one
        of that quantization. Raises PullError."""
        try:
            return self.files(HubReference(repo, file))
        except NotInRepositoryError:
            return self.files(HubReference(repo, None, quant))

    def _file(self, repo: str, sibling: Mapping[str, Any]) -> RemoteFile:
        name = sibling["rfilename"]
        stored = sibling.get("lfs")
        stored = stored if isinstance(stored, dict) else {}
        sha256 = str(stored.get("sha256") or stored.get("oid") or "").removeprefix("sha256:")
        return RemoteFile(
            name=name,
            url=f"{self._endpoint}/{repo}/resolve/main/{quote(name)}",
            sha256=sha256 if _SHA256.fullmatch(sha256) else None,
            size_bytes=_size(sibling),
            token=self._token,
        )

    def _describe(self, repo: str) -> list[dict[str, Any]]:
        """The files of a repository, as the hub describes them."""
        url = f"{self._endpoint}/api/models/{repo}?blobs=true"
        request = authorized(url, self._token)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                text = response.read(MAX_DESCRIPTION_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (401, 404):
                    raise PullError(
                        f"{urlsplit(url).netloc} has no repository {repo!r}, or only for those "
                        "who are let in: set HF_TOKEN if you are"
                    ) from error
                raise refused(url, error) from error
        except urllib.error.URLError as error:
            raise unreachable(url, error.reason) from error
        return _siblings(url, text)

    def _cached_files(self, reference: HubReference) -> list[RemoteFile]:
        """The files of the latest cached snapshot."""
        folder = self._cache / ("models--" + reference.repo.replace("/", "--")) / "snapshots"
        snapshots = sorted(folder.glob("*/"), key=lambda path: path.stat().st_mtime)
        if not snapshots:
            raise PullError(
                f"HF_HUB_OFFLINE is set, and nothing of {reference.repo} is cached in {self._cache}"
            )
        found = {
            str(path.relative_to(snapshots[-1])): path
            for path in snapshots[-1].rglob("*")
            if is_gguf_name(path.name)
        }
        names = choose_files(dict.fromkeys(sorted(found), 0), reference)
        return [RemoteFile(name, "", cached=found[name].resolve()) for name in names]


def _siblings(url: str, text: bytes) -> list[dict[str, Any]]:
    try:
        siblings = json.loads(text)["siblings"]
        return [dict(sibling) for sibling in siblings if isinstance(sibling["rfilename"], str)]
    except (ValueError, KeyError, TypeError) as error:
        raise PullError(f"{url} does not answer as the hub does") from error


def by_name(siblings: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(sibling for sibling in siblings if sibling["rfilename"] == name)


def _size(sibling: Mapping[str, Any]) -> int | None:
    """The size that the hub says a file has."""
    stored = sibling.get("lfs")
    size = sibling.get("size", stored.get("size") if isinstance(stored, dict) else None)
    return size if isinstance(size, int) else None


def choose_files(
    sizes: Mapping[str, int], reference: HubReference, room: int | None = None
) -> list[str]:
    """The files of the model that a reference means, among those of a repository.

    sizes: in bytes, by name; 0 = not known. room: as in `Hub.files`.
    Raises NotInRepositoryError that lists the files of the repository.
    """
    models = [
        name
        for name in sizes
        if is_gguf_name(_base(name)) and kind_by_name(_base(name)) in ("model", "part")
    ]
    if reference.file is not None:
        chosen = next((name for name in models if name.lower() == reference.file.lower()), None)
    else:
        chosen = _of_quant(models, reference.quant, sizes, room)
    if chosen is None:
        wish = reference.file or reference.quant
        there = ", ".join(sorted(map(_base, models))[:20]) or "no GGUF files"
        what = f"has no {wish}" if wish else "has no model"
        raise NotInRepositoryError(f"{reference.repo} {what}; it has: {there}")
    return _parts(chosen)


def _parts(name: str) -> list[str]:
    """The name, or those of all parts of a split model of which it is one."""
    part = split_name(name)
    if part is None:
        return [name]
    stem, _, n_parts = part
    suffix = name[-len(".gguf") :]
    return [f"{stem}-{i:05}-of-{n_parts:05}{suffix}" for i in range(1, n_parts + 1)]


def _of_quant(
    models: Sequence[str], quant: str | None, sizes: Mapping[str, int], room: int | None
) -> str | None:
    """The first file of a quantization; of the preferred one that fits if none is named.

    The smallest if none fits.
    """
    firsts = sorted(name for name in models if kind_by_name(_base(name)) == "model")
    if quant is not None and quant.lower() != "latest":
        return next((name for name in firsts if _is_quant(name, quant)), None)
    n_bytes = {name: sum(sizes.get(part, 0) for part in _parts(name)) for name in firsts}
    wanted = [name for word in PREFERRED for name in firsts if _is_quant(name, word)]
    wanted += [name for name in firsts if name not in wanted]
    if room is None:
        return next(iter(wanted), None)
    fitting = (name for name in wanted if n_bytes[name] <= room)
    return next(fitting, None) or min(wanted, key=n_bytes.__getitem__, default=None)


def _is_quant(name: str, quant: str) -> bool:
    """Whether the quantization is a word of the file's name."""
    word = re.escape(quant)
    return (
        re.search(rf"(?:^|[^A-Za-z0-9]){word}(?=$|[^A-Za-z0-9_])", name, re.IGNORECASE) is not None
    )


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]
