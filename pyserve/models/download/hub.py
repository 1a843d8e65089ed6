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
PREFERRED = ("Q4_K_M", "Q4_1", "Q4_0", "Q5_K_M", "Q8_0")  # of those without a wish
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


class Hub:
    """The hub, or a mirror of it. environ: where its settings are."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._endpoint = environ.get("HF_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")
        self._token = environ.get("HF_TOKEN") or None
        self._is_offline = environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        home = Path(environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        self._cache = Path(environ.get("HF_HUB_CACHE") or home / "hub")

    def files(self, reference: HubReference) -> list[RemoteFile]:
        """The files of the model: one, or all parts of a split one, in order.

        Raises PullError.
        """
        if self._is_offline:
            return self._cached_files(reference)
        siblings = self._describe(reference.repo)
        names = choose_files([sibling["rfilename"] for sibling in siblings], reference)
        return [self._file(reference.repo, by_name(siblings, name)) for name in names]

    def _file(self, repo: str, sibling: Mapping[str, Any]) -> RemoteFile:
        name = sibling["rfilename"]
        stored = sibling.get("lfs")
        stored = stored if isinstance(stored, dict) else {}
        sha256 = str(stored.get("sha256") or stored.get("oid") or "").removeprefix("sha256:")
        size = sibling.get("size", stored.get("size"))
        return RemoteFile(
            name=name,
            url=f"{self._endpoint}/{repo}/resolve/main/{quote(name)}",
            sha256=sha256 if _SHA256.fullmatch(sha256) else None,
            size_bytes=size if isinstance(size, int) else None,
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
        names = choose_files(sorted(found), reference)
        return [RemoteFile(name, "", cached=found[name].resolve()) for name in names]


def _siblings(url: str, text: bytes) -> list[dict[str, Any]]:
    try:
        siblings = json.loads(text)["siblings"]
        return [dict(sibling) for sibling in siblings if isinstance(sibling["rfilename"], str)]
    except (ValueError, KeyError, TypeError) as error:
        raise PullError(f"{url} does not answer as the hub does") from error


def by_name(siblings: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(sibling for sibling in siblings if sibling["rfilename"] == name)


def choose_files(names: Sequence[str], reference: HubReference) -> list[str]:
    """The files of the model that a reference means, among those of a repository.

    Raises PullError that lists the files of the repository.
    """
    models = [
        name
        for name in names
        if is_gguf_name(_base(name)) and kind_by_name(_base(name)) in ("model", "part")
    ]
    if reference.file is not None:
        chosen = reference.file if reference.file in models else None
    else:
        chosen = _of_quant(models, reference.quant)
    if chosen is None:
        wish = reference.file or reference.quant
        there = ", ".join(sorted(map(_base, models))[:20]) or "no GGUF files"
        what = f"has no {wish}" if wish else "has no model"
        raise PullError(f"{reference.repo} {what}; it has: {there}")
    part = split_name(chosen)
    if part is None:
        return [chosen]
    stem, _, n_parts = part
    suffix = chosen[-len(".gguf") :]
    return [f"{stem}-{i:05}-of-{n_parts:05}{suffix}" for i in range(1, n_parts + 1)]


def _of_quant(models: Sequence[str], quant: str | None) -> str | None:
    """The first file of a quantization; of the preferred one if none is named."""
    firsts = sorted(name for name in models if kind_by_name(_base(name)) == "model")
    if quant is not None and quant.lower() != "latest":
        return next((name for name in firsts if _is_quant(name, quant)), None)
    for preferred in PREFERRED:
        for name in firsts:
            if _is_quant(name, preferred):
                return name
    return firsts[0] if firsts else None


def _is_quant(name: str, quant: str) -> bool:
    """Whether the quantization is a word of the file's name."""
    word = re.escape(quant)
    return (
        re.search(rf"(?:^|[^A-Za-z0-9]){word}(?=$|[^A-Za-z0-9_])", name, re.IGNORECASE) is not None
    )


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]
