"""Downloads a URL into a `.part` file, resuming; errors and checks shared by all sources.

A source fills one `.part` file and knows nothing of hashes or of the final name; `pull` does.
Errors are PullErrors whose message says what to do. Nothing outside the directory of the `.part`
file is written.
"""

from __future__ import annotations

import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pyserve.errors import ModelLoadError
from pyserve.models.download.progress import Progress

_CHUNK_BYTES = 256 * 1024
TIMEOUT_S = 30.0
_MAX_STALLS = 4


class PullError(ModelLoadError):
    """A model file could not be fetched."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to get: from `url`, or `cached` here. sha256, size_bytes: None if nobody says it.

    token: for the host of `url` only, not for where it redirects to.
    """

    name: str
    url: str
    sha256: str | None = None
    size_bytes: int | None = None
    token: str | None = None
    cached: Path | None = None


class DiskFullError(PullError):
    """There is not enough room; no other source can help."""


def fetch_url(
    url: str,
    part: Path,
    progress: Progress,
    *,
    is_hash_known: bool,
    max_bytes: int | None = None,
    token: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Download `url` into `part`, continuing after the bytes that are there already.

    Without a known hash, old bytes are continued only if the server confirms (ETag or date) that
    the file is still the same. A connection lost on the way is taken up again by itself.
    token: for the host of `url` only, not for where it redirects to.
    """
    n_stalls = 0
    while True:
        before = file_size(part)
        try:
            _fetch_rest(authorized(url, token), part, progress, is_hash_known, max_bytes)
            _validator_path(part).unlink(missing_ok=True)
            return
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            n_stalls = 0 if file_size(part) > before else n_stalls + 1
            if n_stalls >= _MAX_STALLS:
                raise PullError(
                    f"the connection to {urlsplit(url).netloc} broke at byte {file_size(part):,}: "
                    f"{error}; the same command continues from there"
                ) from error
            sleep(0.5 * 2**n_stalls)


def authorized(url: str, token: str | None) -> urllib.request.Request:
    """A request for `url`, with the token for its host if there is one."""
    headers = {"User-Agent": "pyserve", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


def _fetch_rest(
    request: urllib.request.Request,
    part: Path,
    progress: Progress,
    is_hash_known: bool,
    max_bytes: int | None,
) -> None:
    """One request. Raises http.client or connection errors when it breaks on the way."""
    url = request.full_url
    headers = _range_headers(url, part, is_hash_known)
    for name, value in headers.items():
        request.add_header(name, value)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
                _drop_or_accept(part, error.headers.get("Content-Range"))
                return
            raise refused(url, error) from error
    except urllib.error.URLError as error:
        raise unreachable(url, error.reason) from error
    with response:
        _save_body(response, url, part, progress, max_bytes)


def _save_body(
    response: http.client.HTTPResponse,
    url: str,
    part: Path,
    progress: Progress,
    max_bytes: int | None,
) -> None:
    start = file_size(part) if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
    if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        part.unlink()
        raise ConnectionResetError("the server continued at another offset than asked")
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None else None
    progress.set_total(total)
    if max_bytes is not None and total is not None and total > max_bytes:
        raise PullError(f"{url} has {total:,} bytes, {max_bytes:,} expected: a different file")
    require_space(part.parent, (total or 0) - start)
    _save_validator(url, part, response.headers)
    n_bytes = start
    with part.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        while data := response.read(_CHUNK_BYTES):
            n_bytes += len(data)
            if max_bytes is not None and n_bytes > max_bytes:
                raise PullError(f"{url} sends more than the {max_bytes:,} bytes expected")
            stream.write(data)
            progress.update(n_bytes)
    if total is not None and n_bytes < total:
        raise ConnectionResetError(f"{n_bytes:,} of {total:,} bytes came")


def _range_headers(url: str, part: Path, is_hash_known: bool) -> dict[str, str]:
    if file_size(part) == 0:
        return {}
    headers = {"Range": f"bytes={file_size(part)}-"}
    validator = _load_validator(url, part)
    if validator:
        return {**headers, "If-Range": validator}
    if is_hash_known:
        return headers
    part.unlink()
    return {}


def _drop_or_accept(part: Path, content_range: str | None) -> None:
    """Handles 416, nothing after our bytes: the part is whole, or it belongs to another file."""
    if content_range == f"bytes */{file_size(part)}":
        return
    part.unlink()
    raise ConnectionResetError("the file on the server is shorter than the partial download")


def _validator_path(part: Path) -> Path:
    return part.with_name(part.name + ".validator")


def _save_validator(url: str, part: Path, headers: http.client.HTTPMessage) -> None:
    etag = headers.get("ETag", "")
    value = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    _validator_path(part).write_text(json.dumps({"url": url, "value": value}), encoding="utf-8")


def _load_validator(url: str, part: Path) -> str:
    try:
        saved = json.loads(_validator_path(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(saved["value"]) if saved.get("url") == url else ""


def refused(url: str, error: urllib.error.HTTPError) -> PullError:
    hints = {
        401: "it wants a login",
        403: "it does not allow this download",
        404: "check the address",
        429: "too many requests, try again later",
    }
    hint = hints.get(error.code, "try again later")
    return PullError(f"{url}: the server answered {error.code} {error.reason}; {hint}")


def unreachable(url: str, reason: object) -> PullError:
    return PullError(
        f"cannot reach {urlsplit(url).netloc}: {reason}; check the network "
        "(HTTPS_PROXY is honoured) and run the same command again"
    )


def require_space(directory: Path, n_bytes: int) -> None:
    """Raise DiskFullError unless the disk has room for `n_bytes` more."""
    free = shutil.disk_usage(directory).free
    if n_bytes > free:
        raise DiskFullError(
            f"the disk of {directory} is too full: {n_bytes:,} bytes needed, {free:,} free; "
            "make room or choose another --models-dir"
        )


def file_size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
