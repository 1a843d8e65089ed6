"""Shows expected errors to users as one message with an exit code, without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from pyserve.errors import PyserveError


@contextmanager
def explained() -> Iterator[None]:
    """Ends the command with code 1 and a message on a PyserveError or OSError.

    Where nobody reads the output any more there is nobody to tell.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except PyserveError as error:
        raise click.ClickException(error.message) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from error
