"""What the server tells with every answer, whether the request asks for it or not."""

from __future__ import annotations

from typing import TypeVar

from pyserve.schemas.fields.reports import TimingFields
from pyserve.web.request.services import services

Body = TypeVar("Body", bound=TimingFields)


def with_reports(body: Body) -> Body:
    """`body` with the reports that the server is configured to give. In a request's context."""
    return body.model_copy(update={"timings": True}) if services().config.timings else body
