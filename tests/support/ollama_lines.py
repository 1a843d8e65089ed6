"""What the tests of Ollama's API send and read."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.test import TestResponse

CHAT = "/api/chat"
GENERATE = "/api/generate"


def chat(content: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": content}], **fields}


def prompt(text: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "prompt": text, **fields}


def lines_of(response: TestResponse) -> list[dict[str, Any]]:
    """The lines of a streamed answer."""
    assert response.status_code == 200, response.text
    assert response.content_type == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def said(lines: list[dict[str, Any]]) -> str:
    """The text of streamed lines."""
    return "".join(
        line["message"]["content"] if "message" in line else line["response"] for line in lines
    )
