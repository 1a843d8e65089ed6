"""`--api-key`, `--api-key-file`: the API keys, their rights, and the key of a bearer token.

Keys are kept as SHA-256 digests; the texts are forgotten as soon as they were read.
"""

from __future__ import annotations

import hashlib
import hmac
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from pyserve.config import ServeConfig, is_local
from pyserve.errors import InvalidRequestError

MIN_KEY_CHARS = 8
MAX_KEY_CHARS = 512
N_SHOWN = 8

Positive = Annotated[int, msgspec.Meta(ge=1)]
UrlPath = Annotated[str, msgspec.Meta(pattern=r"^/[!-~]*$")]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key and its rights.

    models: the names of those it may use, ids or aliases; None = all. endpoints: their paths,
    without `/v1`, and all below them; None = all. max_concurrency, requests_per_minute,
    tokens_per_minute, tokens_per_day: over all front workers; None = unlimited.
    max_context: most tokens of a prompt and its answer. max_priority: the highest it may ask for.
    tenant: computed prefixes are shared within one. admin: may load, unload and reload models, and
    see what all keys have used.
    """

    name: str
    digest: bytes
    models: frozenset[str] | None = None
    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    max_context: int | None = None
    max_priority: int | None = None
    endpoints: tuple[str, ...] | None = None
    tenant: str = ""
    admin: bool = False


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `[[keys]]` in a TOML file: `key`, or the `sha256` of one in hex digits."""

    key: str | None = None
    sha256: str | None = None
    name: str | None = None
    models: list[str] | None = None
    max_concurrency: Positive | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    tokens_per_day: Positive | None = None
    max_context: Annotated[int, msgspec.Meta(ge=2)] | None = None
    max_priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] | None = None
    endpoints: list[UrlPath] | None = None
    tenant: str | None = None
    admin: bool = False


class KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole TOML file."""

    keys: list[KeyEntry]


class KeyRing:
    """All keys of a server; without any, every request may do everything. Immutable: any thread."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str) -> tuple[ApiKey, str | None] | None:
        """The key of `token`, and the model that it names: `KEY` or `KEY:MODEL`.

        Takes the same time for every wrong token.
        """
        head, _, model = token.partition(":")
        whole, named = self._match(token), self._match(head)
        if whole is not None:
            return whole, None
        return None if named is None else (named, model or None)

    def of_digest(self, digest: bytes) -> ApiKey | None:
        """The key of this digest."""
        return next((key for key in self._keys if key.digest == digest), None)

    def _match(self, text: str) -> ApiKey | None:
        digest = digest_of(text)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def check_access(config: ServeConfig) -> None:
    """Raises InvalidRequestError for unusable keys, or for a public address without keys."""
    if load_keys(config.api_key, config.api_key_file) or config.insecure:
        return
    if not is_local(config.host):
        raise InvalidRequestError(
            f"other machines can reach {config.host}: give --api-key or --api-key-file, or"
            " --insecure to serve everybody"
        )


def load_keys(plain: Iterable[str], file: Path | None) -> KeyRing:
    """The ring of the keys in `plain`, which may do everything, and of those in `file`.

    Raises InvalidRequestError that names the file and the line or entry, and never the key.
    """
    keys = [_plain_key(text, f"--api-key {n}") for n, text in enumerate(plain, 1)]
    if file is not None:
        keys += _read_file(file)
    _refuse_duplicates(keys)
    return KeyRing(keys)


def _read_file(path: Path) -> list[ApiKey]:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"--api-key-file {path} cannot be read: {error}") from error
    keys = _toml_keys(path, text) if path.suffix == ".toml" else _line_keys(path, text)
    if not keys:
        raise InvalidRequestError(f"--api-key-file {path} has no key")
    return keys


def _line_keys(path: Path, text: str) -> list[ApiKey]:
    lines = ((n, line.strip()) for n, line in enumerate(text.splitlines(), 1))
    wanted = [(n, line) for n, line in lines if line and not line.startswith("#")]
    return [_plain_key(line, f"{path} line {n}") for n, line in wanted]


def _toml_keys(path: Path, text: str) -> list[ApiKey]:
    try:
        content: Any = tomllib.loads(text)
        entries = msgspec.convert(content, KeyFile).keys
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidRequestError(f"--api-key-file {path}: {error}") from error
    return [_entry_key(entry, f"{path} entry {n}") for n, entry in enumerate(entries, 1)]


def _entry_key(entry: KeyEntry, where: str) -> ApiKey:
    digest = _entry_digest(entry, where)
    name = entry.name or _fingerprint(digest)
    return ApiKey(
        name=name,
        digest=digest,
        models=None if entry.models is None else frozenset(entry.models),
        max_concurrency=entry.max_concurrency,
        requests_per_minute=entry.requests_per_minute,
        tokens_per_minute=entry.tokens_per_minute,
        tokens_per_day=entry.tokens_per_day,
        max_context=entry.max_context,
        max_priority=entry.max_priority,
        endpoints=None if entry.endpoints is None else tuple(map(_bare, entry.endpoints)),
        tenant=_fingerprint(digest) if entry.tenant is None else entry.tenant,
        admin=entry.admin,
    )


def _bare(path: str) -> str:
    """A path as it is without `/v1`, and without a slash at the end."""
    return path.removeprefix("/v1").rstrip("/")


def _entry_digest(entry: KeyEntry, where: str) -> bytes:
    if (entry.key is None) == (entry.sha256 is None):
        raise InvalidRequestError(f"{where}: give either key or sha256")
    if entry.key is not None:
        return digest_of(_checked(entry.key, where))
    try:
        digest = bytes.fromhex(entry.sha256 or "")
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise InvalidRequestError(f"{where}: sha256 must be 64 hex digits")
    return digest


def _plain_key(text: str, where: str) -> ApiKey:
    digest = digest_of(_checked(text, where))
    shown = _fingerprint(digest)
    return ApiKey(name=shown, digest=digest, tenant=shown, admin=True)


def _checked(text: str, where: str) -> str:
    if not MIN_KEY_CHARS <= len(text) <= MAX_KEY_CHARS:
        raise InvalidRequestError(
            f"{where}: the key has {len(text)} characters, allowed are {MIN_KEY_CHARS} to"
            f" {MAX_KEY_CHARS}"
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidRequestError(f"{where}: a key is printable ASCII without spaces")
    return text


def _fingerprint(digest: bytes) -> str:
    """A name for a key that does not reveal it."""
    return f"key-{digest.hex()[:N_SHOWN]}"


def _refuse_duplicates(keys: list[ApiKey]) -> None:
    if len({key.digest for key in keys}) < len(keys):
        raise InvalidRequestError("an API key is given twice")
