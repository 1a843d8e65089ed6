"""Variables of chat templates: those of a request that its template never reads."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pyserve.engine.model_info import ModelInfo

MAX_NAMED = 16


def unread_variables(names: Iterable[str], info: ModelInfo) -> list[str]:
    """Those that the model's templates do not mention; none if their source is not known.

    At most `MAX_NAMED`, as fields of a request.
    """
    source = f"{info.chat_template}\n{info.tool_template}"
    if not info.chat_template:
        return []
    words = set(re.findall(r"\w+", source, re.ASCII))
    unread = [f"chat_template_kwargs.{name}" for name in names if name not in words]
    return unread[:MAX_NAMED]
