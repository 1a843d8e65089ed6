"""Gives the text of a YAML file where a text is wanted: `Yes` stays `Yes`, and `3.10` no 3.1."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from pyserve.models.localai.yaml_file import Path

TextOf = Callable[[Path, Any], Any]


def as_written(value: Any, wanted: Any, text_of: TextOf, path: Path) -> Any:
    """`value` with the texts of its scalars where the type `wanted` takes texts.

    path: of the value. text_of: a scalar as it is written, by its path and value.
    """
    wanted = _plain(wanted)
    if isinstance(value, dict):
        return {
            key: as_written(part, _member(wanted, key), text_of, (*path, key))
            for key, part in value.items()
        }
    item = _plain(get_args(wanted)[0]) if get_origin(wanted) is list else None
    if isinstance(value, list):
        return [as_written(part, item, text_of, (*path, i)) for i, part in enumerate(value)]
    return text_of(path, value) if _is_text(item or wanted) else value


def _plain(wanted: Any) -> Any:
    """The type without annotations, and of one that may be None the other one; else None."""
    while True:
        origin, parts = get_origin(wanted), get_args(wanted)
        if origin is Annotated:
            wanted = parts[0]
        elif origin in (Union, types.UnionType):
            others = [part for part in parts if part is not type(None)]
            wanted = others[0] if len(others) == 1 else None
        else:
            return wanted


def _member(wanted: Any, key: str) -> Any:
    if get_origin(wanted) is dict:
        return get_args(wanted)[1]
    if isinstance(wanted, type) and issubclass(wanted, BaseModel) and key in wanted.model_fields:
        return wanted.model_fields[key].annotation
    return None


def _is_text(wanted: Any) -> bool:
    if get_origin(wanted) is Literal:
        return all(isinstance(word, str) for word in get_args(wanted))
    return wanted is str
