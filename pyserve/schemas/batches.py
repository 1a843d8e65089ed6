"""Request body of /v1/batches, and the fields of a file that is uploaded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pyserve.batch.lines import ENDPOINTS
from pyserve.schemas.common import RequestModel
from pyserve.schemas.fields.accepted import Metadata

MIN_TTL_S, MAX_TTL_S = 3600, 2_592_000
HOUR_S = 3600
UNITS_S = {"h": HOUR_S, "d": 24 * HOUR_S}
MAX_WINDOW_S = 30 * 24 * HOUR_S

Endpoint = Literal[
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/edits",
    "/v1/messages",
]
assert Endpoint.__args__ == ENDPOINTS  # type: ignore[attr-defined]


class ExpiresAfter(RequestModel):
    """When a file is deleted: so many seconds after it was made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=MIN_TTL_S, le=MAX_TTL_S)]


class BatchRequest(RequestModel):
    """Requests of a file, to be answered within some time."""

    input_file_id: Annotated[str, Field(min_length=1, max_length=128)]
    endpoint: Endpoint
    completion_window: Annotated[str, Field(pattern=r"^[1-9]\d{0,2}[hd]$")]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None

    @property
    def window_s(self) -> float:
        """`completion_window`, at most MAX_WINDOW_S."""
        number, unit = self.completion_window[:-1], self.completion_window[-1]
        return min(int(number) * UNITS_S[unit], MAX_WINDOW_S)


class FileFields(RequestModel):
    """What a form has beside its file."""

    purpose: Literal["batch"]
    expires_after: ExpiresAfter | None = None
