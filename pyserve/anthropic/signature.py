"""Signatures of thoughts: an opaque text that clients send back with them, read by us alone.

Where thoughts are not shown the signature has them, so that they are not lost to the next turn.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

from pyserve.schemas.common import MAX_TEXT_BYTES

_SHOWN, _SEALED = "pyserve1.", "pyserve1z."
_N_DIGEST = 18


def signature_of(thoughts: str, *, is_sealed: bool) -> str:
    """is_sealed: the thoughts can be read back from it."""
    data = thoughts.encode()
    if is_sealed:
        return _SEALED + base64.urlsafe_b64encode(zlib.compress(data)).decode()
    digest = hashlib.sha256(data).digest()[:_N_DIGEST]
    return _SHOWN + base64.urlsafe_b64encode(digest).decode()


def thoughts_in(shown: str, signature: str) -> str:
    """The thoughts of a block with this text: what a signature of ours has, where that is empty."""
    if shown or not signature.startswith(_SEALED):
        return shown
    try:
        packed = base64.urlsafe_b64decode(signature.removeprefix(_SEALED))
        return zlib.decompressobj().decompress(packed, MAX_TEXT_BYTES).decode()
    except (binascii.Error, zlib.error, ValueError):  # it was changed on its way
        return ""
