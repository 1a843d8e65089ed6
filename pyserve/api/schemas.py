"""POST /v1/schema/check."""

from __future__ import annotations

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.openai.document.operation import Operation
from pyserve.openai.structured.check import SchemaCheck, check_schema
from pyserve.schemas.fields.constraints import SchemaCheckRequest
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply

endpoint = Endpoint("schemas", tag="Structured output")


@endpoint.view(
    Operation(
        name="checkSchema",
        method="post",
        path="/schema/check",
        summary="Check whether a JSON Schema can be enforced, and its cost",
        details="Names every keyword that would be refused. No model runs.",
        request=SchemaCheckRequest,
        body={"schema": {"type": "object", "properties": {"age": {"type": "integer"}}}},
        response=SchemaCheck,
        example=lambda: check_schema(SchemaCheckRequest(schema={"type": "object"})),
    )
)
def check() -> Response:
    return json_reply(check_schema(read_body(SchemaCheckRequest)))
