"""A new batch of the current request's key."""

from __future__ import annotations

from typing import Any

from pyserve.errors import RateLimitError
from pyserve.memory.batches import BatchState, Kind
from pyserve.openai.ids import new_item_id
from pyserve.web.batches.replies import the_archive
from pyserve.web.request.access import current_key, tenant

MAX_RUNNING = 256  # of one tenant
RETRY_S = 60


def new_batch(kind: Kind, window_s: float, **fields: Any) -> BatchState:
    """One that is to be over in `window_s`; fields: the other ones of its state.

    Raises RateLimitError for a tenant that has too many, NotFoundError where nothing is stored.
    """
    archive, owner, key = the_archive(), tenant(), current_key()
    n_running = archive.batches.n_running(owner)
    if n_running >= MAX_RUNNING:
        message = f"{n_running} batches are not finished, at most {MAX_RUNNING} may be"
        raise RateLimitError(message, retry_after_s=RETRY_S)
    created = archive.clock()
    return BatchState(
        id=new_item_id(kind),
        tenant=owner,
        key="" if key is None else key.digest.hex(),
        created=created,
        expires=created + window_s,
        **fields,
    )
