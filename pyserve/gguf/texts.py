"""Finds texts in the metadata of a GGUF file without reading all that stands before them."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

MAX_HEAD_BYTES = 32 * 1024 * 1024  # vocabularies stand before the templates
MAX_TEXT_BYTES = 1024 * 1024
MAX_KEY_BYTES = 256
CHAT_TEMPLATE = "tokenizer.chat_template"
_STRING: Final = struct.pack("<I", 8)
_LENGTH: Final = struct.Struct("<Q")


def find_texts(path: Path, key: str) -> list[str]:
    """The texts under `key` and under keys that begin with it and a dot; [] if there are none.

    Searches for the bytes of the keys, in milliseconds. What is found may be a part of another
    text that holds them; nothing depends on it.
    """
    try:
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return list(_texts(data, key.encode()))
    except (OSError, ValueError):  # ValueError: an empty file
        return []


def _texts(data: mmap.mmap, key: bytes) -> list[str]:
    found = []
    at = data.find(key, 0, MAX_HEAD_BYTES)
    while at >= 0:
        text = _text_after(data, at)
        if text is not None:
            found.append(text)
        at = data.find(key, at + len(key), MAX_HEAD_BYTES)
    return found


def _text_after(data: mmap.mmap, at: int) -> str | None:
    """The text under the key that begins at `at`."""
    (n_key,) = _LENGTH.unpack_from(data, at - _LENGTH.size) if at >= _LENGTH.size else (0,)
    pos = at + n_key
    if n_key > MAX_KEY_BYTES or data[pos : pos + 4] != _STRING or pos + 12 > len(data):
        return None
    (n_bytes,) = _LENGTH.unpack_from(data, pos + 4)
    if n_bytes > MAX_TEXT_BYTES:
        return None
    return str(data[pos + 12 : pos + 12 + n_bytes], "utf-8", "replace")
