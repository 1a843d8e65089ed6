"""What a client is told that waits for its first token: its place, how much is computed, how long.

Pure: of what the engine told of each of a client's requests, None where it told nothing yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyserve.engine.protocol import Progress
from pyserve.openai.reports import PromptProgress

Told = Sequence[Progress | None]


def place_of(told: Told) -> Progress | None:
    """The first of the requests to start, while all of them are queued."""
    known = [progress for progress in told if progress is not None]
    if not known or any(progress.position == 0 for progress in known):
        return None
    return min(known, key=lambda progress: progress.position)


def said_of(told: Told) -> str:
    """The sentence for a comment; "": nothing is known."""
    place = place_of(told)
    if place is not None:
        eta = _eta(place.eta_ms)
        return f"queued position={place.position} of={place.n_waiting}{eta}"
    started = [progress for progress in told if progress is not None and progress.position == 0]
    if not started:
        return ""
    n_computed = sum(progress.n_computed_tokens for progress in started)
    n_prompt = sum(progress.n_prompt_tokens for progress in started)
    eta = _eta(max(progress.eta_ms for progress in started))
    return f"prompt {n_computed}/{n_prompt}{eta}"


def prompt_progress(told: Told, n_prompt_tokens: int) -> PromptProgress:
    """That of all requests. n_prompt_tokens: of all of them, as they were accepted."""
    known = [progress for progress in told if progress is not None]
    return PromptProgress(
        total=n_prompt_tokens,
        cache=sum(progress.n_cached_tokens for progress in known),
        processed=sum(progress.n_computed_tokens for progress in known),
        time_ms=max((progress.prompt_ms for progress in known), default=0.0),
    )


def _eta(eta_ms: float) -> str:
    return f" eta={math.ceil(eta_ms / 1000)}s" if eta_ms >= 0 else ""
