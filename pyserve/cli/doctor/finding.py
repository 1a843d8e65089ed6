"""One thing that was looked at."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "advice", "fault"]


class Finding(msgspec.Struct, frozen=True):
    """fault: pyserve cannot work so; advice: it would work better otherwise.

    todo: what to change, "" if nothing; it may say by how much it helps.
    """

    subject: str
    level: Level
    what: str
    todo: str = ""
