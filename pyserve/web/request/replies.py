"""Makes JSON responses of structs or plain data."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response


def json_reply(content: Any, status: int = 200) -> Response:
    """`content` (structs or plain data) as a JSON response."""
    return Response(msgspec.json.encode(content), status, content_type="application/json")
