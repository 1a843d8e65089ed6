"""Tells in headers and the log what of a request the model does not get to see."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pyserve.web.request.notes import notes

MAX_LOGGED_CHARS = 200

log = logging.getLogger(__name__)


def note_left_out(tools: Sequence[str], items: Sequence[str]) -> None:
    """tools, items: types of what is left out."""
    noted = notes()
    noted.ignored_tools = tools
    noted.ignored_items = items
    if tools:
        types = ", ".join(map(repr, tools))[:MAX_LOGGED_CHARS]
        log.info("request %s: tools that are not offered: %s", noted.request_id, types)
