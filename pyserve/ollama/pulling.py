"""POST /api/pull: the progress of a download as Ollama tells it."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from msgspec import UNSET, UnsetType

EVERY_S = 0.25
DIGEST_CHARS = 12


class OllamaProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a pull. digest: `sha256:` and the hash of the file, where it is known beforehand.

    total, completed: bytes.
    """

    status: str
    digest: str | UnsetType = UNSET
    total: int | UnsetType = UNSET
    completed: int | UnsetType = UNSET


SUCCESS = OllamaProgress(status="success")
VERIFYING = OllamaProgress(status="verifying sha256 digest")

Tell = Callable[[OllamaProgress], None]


class ToldProgress:
    """Implements `Progress`: tells the bytes of a file, at most once in EVERY_S. One thread."""

    def __init__(
        self,
        tell: Tell,
        name: str,
        total_bytes: int | None,
        sha256: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._status = f"pulling {sha256[:DIGEST_CHARS] if sha256 else name}"
        self._digest: str | UnsetType = f"sha256:{sha256}" if sha256 else UNSET
        self._total: int | UnsetType = UNSET if total_bytes is None else total_bytes
        self._n_bytes = 0
        self._next_s = float("-inf")

    def set_total(self, total_bytes: int | None) -> None:
        if total_bytes is not None:
            self._total = total_bytes

    def update(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        if self._clock() >= self._next_s:
            self._next_s = self._clock() + EVERY_S
            self._say()

    def close(self) -> None:
        self._say()
        if self._digest is not UNSET and self._n_bytes == self._total:
            self._tell(VERIFYING)

    def _say(self) -> None:
        self._tell(
            OllamaProgress(
                status=self._status,
                digest=self._digest,
                total=self._total,
                completed=self._n_bytes,
            )
        )


class ToldLines:
    """Implements `Shown`: tells what is done as lines of Ollama's."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def say(self, text: str) -> None:
        self._tell(OllamaProgress(status=text))

    def file(self, name: str, n_bytes: int | None, sha256: str | None) -> ToldProgress:
        return ToldProgress(self._tell, name, n_bytes, sha256)
