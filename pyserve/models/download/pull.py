"""`pyserve pull`: gets a model file from the gallery, the hub, a URL or another directory.

Work happens in `<models_dir>/.incoming`, under a lock per file; the finished and verified file
appears by one rename. Whatever a broken download left there is continued by the next one.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit

from pyserve.errors import ModelLoadError, ModelNotFoundError
from pyserve.gguf.check import check_model_file
from pyserve.gguf.head import check_gguf
from pyserve.gguf.kind import check_is_model, is_gguf_name
from pyserve.models.download.hub import Hub, HubReference, parse_reference
from pyserve.models.download.incoming import (
    check_format,
    hash_file,
    incoming,
    remember_hash,
    verify,
)
from pyserve.models.download.packages import PackageDownload, fetch_packages
from pyserve.models.download.progress import Progress, ProgressLine, format_bytes
from pyserve.models.download.sources import (
    DiskFullError,
    PullError,
    RemoteFile,
    fetch_url,
    file_size,
    require_space,
)
from pyserve.models.gallery import (
    Gallery,
    GalleryEntry,
    HubSource,
    PackageSource,
    Source,
    UrlSource,
    load_gallery,
    safe_file_name,
)
from pyserve.spelling import did_you_mean

# Shows the notice of an entry and says whether the user accepts it.
AcceptNotice = Callable[[GalleryEntry], bool]


@dataclass(frozen=True)
class PullOptions:
    """Options of a pull. `output` gets progress; `accept` is asked before files with a notice.

    room: bytes that a model may take here, None = not known; a quantization that fits is chosen.
    show: makes the progress of a file of its name, bytes and sha256; None: a line in `output`.
    """

    models_dir: Path
    output: TextIO = field(default_factory=lambda: sys.stderr)
    accept: AcceptNotice = lambda _: False
    download: PackageDownload | None = None
    hub: Hub = field(default_factory=Hub)
    room: int | None = None
    show: Callable[[str, int | None, str | None], Progress] | None = None

    def progress(self, name: str, n_bytes: int | None, sha256: str | None) -> Progress:
        """How the download of a file is shown."""
        if self.show is not None:
            return self.show(name, n_bytes, sha256)
        return ProgressLine(name, self.output, total_bytes=n_bytes)


def pull(
    what: str,
    options: PullOptions,
    *,
    sha256: str | None = None,
    gallery: Gallery | None = None,
) -> Path:
    """Make `what` a file in the models directory and return its path.

    what: a gallery name, an http(s) URL, the path of a GGUF file (which is copied), or a
    repository of the Hugging Face hub, `owner/name[:QUANT]`; of a split model the first file is
    returned.
    sha256: expected hash of a URL's or file's content, 64 hexadecimal digits.
    Raises ModelNotFoundError or PullError. Safe to run twice at once: one works, one waits.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise PullError(f"{sha256!r} is not a sha256: 64 hexadecimal digits")
    gallery = gallery or load_gallery()
    entry = gallery.find(what)
    if entry is not None:
        return pull_entry(entry, options)
    if what.startswith(("http://", "https://")):
        return pull_url(what, options, sha256=sha256)
    path = Path(what).expanduser()
    if path.exists():
        return _pull_file(path, sha256, options)
    reference = parse_reference(what)
    if reference is not None:
        return pull_hub(reference, options, sha256=sha256)
    hint = did_you_mean(what, [entry.name for entry in gallery.models])
    raise ModelNotFoundError(
        f"{what!r} is no gallery name, no http(s) URL, no file and no repository "
        f"(owner/name[:QUANT]); {hint or '`pyserve models` lists the names'}"
    )


def pull_entry(entry: GalleryEntry, options: PullOptions) -> Path:
    """Get a gallery model, trying its sources in order; a verified file is left as it is."""
    target = options.models_dir / entry.file
    if target.exists() and _is_intact(target, entry):
        return target
    _warn_of_size(entry.size_bytes, options)
    if entry.notice and not options.accept(entry):
        raise PullError(
            f"the terms of {entry.name} were not accepted; read them with `pyserve pull "
            f"{entry.name}` and accept there, or pass --accept-license"
        )
    with incoming(target, options.output) as part:
        if target.exists() and _is_intact(target, entry):
            return target
        failures = []
        for source in entry.sources:
            try:
                if source.kind == "hub":
                    _fetch_from_hub(source, entry, part, options)
                else:
                    _fetch_verified(source, entry, part, options)
                part.replace(target)
                return target
            except DiskFullError:
                raise
            except PullError as error:
                failures.append(f"{_describe(source)}: {error.message}")
    raise PullError(
        f"cannot get {entry.name}:\n  " + "\n  ".join(failures) + "\nCheck the network and run the "
        f"same command again; or get {entry.file} on another machine and: pyserve pull FILE"
    )


def pull_url(url: str, options: PullOptions, *, sha256: str | None = None) -> Path:
    """Get a file by its address."""
    return _pull_url(RemoteFile(unquote(urlsplit(url).path), url, sha256), options)


def pull_hub(reference: HubReference, options: PullOptions, *, sha256: str | None = None) -> Path:
    """Get a model of the hub; every file is verified by the hash that the hub has of it.

    sha256: expected hash of a model of one file. Returns its path, or that of its first part.
    """
    files = options.hub.files(reference, options.room)
    _warn_of_size(sum(file.size_bytes or 0 for file in files), options)
    if sha256 is not None and len(files) > 1:
        raise PullError(f"--sha256: the model has {len(files)} files")
    paths = []
    for file in files:
        expected = sha256 or file.sha256
        if file.cached is not None:
            paths.append(_pull_file(file.cached, expected, options, name=file.name))
        else:
            paths.append(_pull_url(replace(file, sha256=expected), options))
    return paths[0]


def _warn_of_size(n_bytes: int, options: PullOptions) -> None:
    """Say so before a download that this machine has no memory for."""
    if options.room is not None and n_bytes > options.room:
        options.output.write(
            f"NOTE: the weights have {format_bytes(n_bytes)}, a model may take "
            f"{format_bytes(max(options.room, 0))} here; it may not load, or be slow\n"
        )


def _fetch_from_hub(
    source: HubSource, entry: GalleryEntry, part: Path, options: PullOptions
) -> None:
    """Fill `part` with the file that the hub says is the entry's, verified by the hub's hash."""
    files = options.hub.entry_files(source.repo, entry.file, entry.quantization)
    if len(files) > 1:
        raise PullError(f"{source.repo} has the model in {len(files)} files")
    (file,) = files
    if file.cached is not None:
        shutil.copyfile(file.cached, part)
    else:
        options.output.write(f"getting {entry.name} from {urlsplit(file.url).hostname}\n")
        progress = options.progress(entry.name, file.size_bytes, file.sha256)
        _fetch_remote(file, part, progress)
        if file.sha256 is None:
            options.output.write(f"{entry.name}: not verified; its sha256 is {hash_file(part)}\n")
    check_format(part)


def _fetch_remote(file: RemoteFile, part: Path, progress: Progress) -> None:
    """Download a file into `part`, and verify it if its hash is known."""
    with contextlib.closing(progress):
        fetch_url(
            file.url,
            part,
            progress,
            is_hash_known=file.sha256 is not None,
            max_bytes=file.size_bytes,
            token=file.token,
        )
    verify(part, file.sha256)


def _fetch_verified(
    source: UrlSource | PackageSource, entry: GalleryEntry, part: Path, options: PullOptions
) -> None:
    """Fill `part` from the source; bytes of an earlier run that prove wrong are fetched again."""
    options.output.write(f"getting {entry.name} from {_describe(source)}\n")
    progress = options.progress(entry.name, entry.size_bytes, entry.sha256)
    was_continued = file_size(part) > 0 and source.kind == "url"
    with contextlib.closing(progress):
        if source.kind == "url":
            fetch_url(source.url, part, progress, is_hash_known=True, max_bytes=entry.size_bytes)
        else:
            fetch_packages(
                source, part, progress, max_bytes=entry.size_bytes, download=options.download
            )
    try:
        verify(part, entry.sha256)
    except PullError:
        if not was_continued:
            raise
        _fetch_verified(source, entry, part, options)


def _pull_url(file: RemoteFile, options: PullOptions) -> Path:
    name = _gguf_name(safe_file_name(file.name), file.url)
    target = options.models_dir / name
    with incoming(target, options.output) as part:
        if target.exists():
            _refuse_other_file(target, file.sha256)
            return target
        options.output.write(f"getting {name} from {urlsplit(file.url).hostname}\n")
        _fetch_remote(file, part, options.progress(name, file.size_bytes, file.sha256))
        check_format(part)
        part.replace(target)
        sha256 = file.sha256 or hash_file(target)
        remember_hash(target, sha256)
    if file.sha256 is None:
        options.output.write(f"{name}: not verified; its sha256 is {sha256}\n")
    return target


def _pull_file(
    path: Path, sha256: str | None, options: PullOptions, *, name: str | None = None
) -> Path:
    check_gguf(path)
    check_model_file(path)
    target = options.models_dir / _gguf_name(safe_file_name(name or path.name), str(path))
    if target.exists() and target.samefile(path):
        return target
    _refuse_other_file(target, sha256 or hash_file(path))
    with incoming(target, options.output) as part:
        require_space(part.parent, file_size(path))
        shutil.copyfile(path, part)
        verify(part, sha256)
        part.replace(target)
    return target


def _gguf_name(name: str, source: str) -> str:
    if not is_gguf_name(name):
        raise PullError(f"{source} does not name a .gguf file")
    return name


def _refuse_other_file(target: Path, sha256: str | None) -> None:
    """Refuses to replace a file of that name with other content: it is the user's."""
    if sha256 is not None and target.exists() and hash_file(target) != sha256.lower():
        raise PullError(f"{target} exists and has other content; move or remove it first")


def _is_intact(path: Path, entry: GalleryEntry) -> bool:
    """Whether the file is the entry's; of those without a known hash any model file is."""
    if entry.sha256 is None:
        return _starts_well(path)
    return file_size(path) == entry.size_bytes and hash_file(path) == entry.sha256


def _starts_well(path: Path) -> bool:
    try:
        check_is_model(path)
    except ModelLoadError:
        return False
    return True


def _describe(source: Source) -> str:
    if source.kind == "url":
        return urlsplit(source.url).netloc
    if source.kind == "hub":
        return source.repo
    names = [f"{part.package} {part.version}" for part in source.parts]
    return f"Python package {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "")
