"""A client that costs little: raw sockets, server-sent events, one task per running request."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

READ_LIMIT = 1 << 20


@dataclass
class Reply:
    """What one streamed request saw. Times are seconds of the monotonic clock.

    token_s: arrival of every event with text. usage: of the last event, {} if there was none.
    error: why it failed, "" = it did not.
    """

    start_s: float
    token_s: list[float] = field(default_factory=list)
    end_s: float = 0.0
    usage: dict[str, object] = field(default_factory=dict)
    text: str = ""
    error: str = ""

    @property
    def n_tokens(self) -> int:
        return int(str(self.usage.get("completion_tokens", len(self.token_s))))

    @property
    def ttft_s(self) -> float:
        return self.token_s[0] - self.start_s

    @property
    def gaps_s(self) -> list[float]:
        return [b - a for a, b in zip(self.token_s, self.token_s[1:], strict=False)]


async def stream_chat(url: str, body: dict[str, object]) -> Reply:
    """POST a streamed chat completion over a new connection; errors end up in the reply."""
    reply = Reply(start_s=time.monotonic())
    try:
        await _stream(url, body, reply)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        reply.error = f"{type(error).__name__}: {error}"
    reply.end_s = time.monotonic()
    if not reply.error and not reply.token_s:
        reply.error = "no text"
    return reply


async def _stream(url: str, body: dict[str, object], reply: Reply) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=READ_LIMIT)
    try:
        data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}})
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data.encode())}\r\n"
            "Connection: close\r\n\r\n"
        )
        writer.write(head.encode() + data.encode())
        status = (await reader.readline()).decode()
        if " 200 " not in status:
            reply.error = (
                status.strip() + " " + (await reader.read(2000)).decode("utf-8", "replace")
            )
            return
        while line := await reader.readline():
            if line.startswith(b"data: {"):
                _take_event(json.loads(line[6:]), reply)
    finally:
        writer.close()


def _take_event(event: dict[str, object], reply: Reply) -> None:
    if "error" in event:
        reply.error = str(event["error"])
    usage = event.get("usage")
    if isinstance(usage, dict):
        reply.usage = usage
    choices = event.get("choices")
    if isinstance(choices, list) and choices:
        text = choices[0]["delta"].get("content")
        if text:
            reply.token_s.append(time.monotonic())
            reply.text += text
