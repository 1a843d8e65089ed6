"""POST /v1/schema/check."""

from __future__ import annotations

from flask import Blueprint, Response

from pyserve.openai.structured.check import check_schema
from pyserve.schemas.constraints import SchemaCheckRequest
from pyserve.web.request.body import read_body
from pyserve.web.request.replies import json_reply

blueprint = Blueprint("schemas", __name__)


@blueprint.post("/schema/check")
def check() -> Response:
    return json_reply(check_schema(read_body(SchemaCheckRequest)))
