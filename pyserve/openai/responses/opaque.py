"""`encrypted_content`: a text in a form that only pyserve reads, so that clients can send it back.

It hides nothing from whoever decodes it: the text is the client's own.
"""

from __future__ import annotations

import base64
import binascii

PREFIX = "pyserve1."


def sealed(kind: str, text: str) -> str:
    """`text` in opaque form. kind: of letters; it is read back by the same."""
    return f"{PREFIX}{kind}.{base64.urlsafe_b64encode(text.encode()).decode()}"


def opened(kind: str, content: str) -> str | None:
    """The text in `content`; None if another server, version or kind made it."""
    begin = f"{PREFIX}{kind}."
    if not content.startswith(begin):
        return None
    try:
        return base64.b64decode(content[len(begin) :], altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
