"""The file of settings, `pyserve.toml`: names and values, still unchecked."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from pyserve.errors import InvalidRequestError

VARIABLE = "PYSERVE_CONFIG"
FILE_NAME = "pyserve.toml"


class ConfigFile(NamedTuple):
    """path: None if there is no file. values: by the names of the settings' fields."""

    path: Path | None
    values: dict[str, Any]


def read_config_file(path: Path | None = None) -> ConfigFile:
    """The file at `path`, or that of PYSERVE_CONFIG ("": none), or the user's own if there is one.

    `ctx-size` and `ctx_size` are the same name. Raises InvalidRequestError.
    """
    if path is None and VARIABLE in os.environ:
        if not os.environ[VARIABLE]:
            return ConfigFile(None, {})
        path = Path(os.environ[VARIABLE])
    if path is None:
        path = default_config_file()
        if not path.is_file():
            return ConfigFile(None, {})
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise InvalidRequestError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidRequestError(f"{path} is no TOML: {error}") from error
    return ConfigFile(path, {name.replace("-", "_"): value for name, value in values.items()})


def default_config_file() -> Path:
    """`$XDG_CONFIG_HOME/pyserve/pyserve.toml`, or `~/.config/pyserve/pyserve.toml`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path(os.environ.get("HOME") or "/") / ".config"
    return folder / "pyserve" / FILE_NAME
