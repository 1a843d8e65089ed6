"""What others may have this machine get: models of the gallery, of the hub, and of listed hosts.

Unlike for `pyserve pull`, paths of files here are no names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from pyserve.errors import InvalidRequestError, ModelNotFoundError, PermissionDeniedError
from pyserve.models.download.hub import parse_reference
from pyserve.models.download.pull import PullOptions, pull_entry, pull_hub, pull_url
from pyserve.models.gallery import Gallery, GalleryEntry
from pyserve.models.routing import LATEST

Pull = Callable[[PullOptions], Path]  # with its progress; returns the file


def remote_pull(
    name: str, gallery: Gallery, hosts: Collection[str], sha256: str | None = None
) -> Pull:
    """How the model of that name is got; asks nobody yet.

    name: of the gallery, also as Ollama writes names (`smollm2:135m`), a repository of the hub
    (`owner/name[:QUANT]`, `hf.co/...`), or a URL of a GGUF file on one of `hosts`.
    sha256: that the file must have. Raises ModelNotFoundError, PermissionDeniedError for another
    host, InvalidRequestError for another hash than the gallery's.
    """
    entry = gallery_entry(name, gallery)
    if entry is not None:
        if sha256 is not None and entry.sha256 not in (None, sha256.lower()):
            message = f"is not that of {entry.name} in the gallery, {entry.sha256}"
            raise InvalidRequestError(f"sha256 {message}", param="sha256")
        return partial(pull_entry, entry)
    if "://" in name and name.startswith(("http://", "https://")):
        _check_host(name, hosts)
        return partial(pull_url, name, sha256=sha256)
    reference = parse_reference(name)
    if reference is not None:
        return partial(pull_hub, reference, sha256=sha256)
    raise ModelNotFoundError(
        f"model {name!r} is not in the gallery, no repository of the hub (owner/name[:QUANT]) and"
        " no http(s) URL",
        param="model",
    )


def gallery_entry(name: str, gallery: Gallery) -> GalleryEntry | None:
    """The entry of a name, in which a tag may stand behind a colon."""
    plain = name.removesuffix(LATEST).lower()
    return gallery.find(plain) or gallery.find(plain.replace(":", "-"))


def _check_host(url: str, hosts: Collection[str]) -> None:
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        host = ""
    if host not in {each.lower() for each in hosts}:
        message = f"nothing is got from the host {host[:100]!r} (--pull-allow allows it)"
        raise PermissionDeniedError(message, param="model")
