"""What Ray raises as errors of pyserve's tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyserve.errors import PyserveError, UnavailableError

MAX_CHARS = 500


@contextmanager
def told_by_ray(doing: str) -> Iterator[None]:
    """Turns whatever Ray raises into an UnavailableError that says what was being done."""
    try:
        yield
    except PyserveError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:MAX_CHARS] or repr(error)
        raise UnavailableError(f"{doing}: Ray says: {text}", retry_after_s=5) from error
