"""Shows expected errors to users as one message with an exit code, without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from pyserve.errors import PyserveError


@contextmanager
def explained() -> Iterator[None]:
    """A PyserveError, or what the system refuses, ends the command with its message and code 1."""
    try:
        yield
    except PyserveError as error:
        raise click.ClickException(error.message) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from error
