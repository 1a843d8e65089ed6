"""A client that costs little: raw sockets, server-sent events, one task per running request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.load.workloads import Request

READ_LIMIT = 1 << 20
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Target:
    """Where requests go. is_plain: to /v1/completions, for models without a chat template."""

    url: str
    is_plain: bool = False

    @property
    def path(self) -> str:
        return "/v1/completions" if self.is_plain else "/v1/chat/completions"


@dataclass
class Reply:
    """What one streamed request saw. Times are seconds of the monotonic clock.

    n_wanted: tokens that were asked for. text_s: arrival of every event with text.
    n_prompt, n_cached, n_tokens: as the server's `usage` counts them.
    error: why it failed, "" = it did not.
    """

    start_s: float
    n_wanted: int = 0
    text_s: list[float] = field(default_factory=list)
    end_s: float = 0.0
    n_prompt: int = 0
    n_cached: int = 0
    n_tokens: int = 0
    text: str = ""
    error: str = ""

    @property
    def ttft_s(self) -> float:
        return self.text_s[0] - self.start_s

    @property
    def gaps_s(self) -> list[float]:
        return [b - a for a, b in zip(self.text_s, self.text_s[1:], strict=False)]


async def stream(
    target: Target, request: Request, on_text: Callable[[Reply], None] | None = None
) -> Reply:
    """POST a streamed completion over a new connection; errors end up in the reply.

    on_text is called after every event with text.
    """
    reply = Reply(time.monotonic(), n_wanted=0 if request.may_end else request.max_tokens)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await _stream(target, request, reply, on_text)
    except (OSError, ValueError, LookupError, TypeError, asyncio.IncompleteReadError) as error:
        reply.error = f"{type(error).__name__}: {error}"
    reply.end_s = time.monotonic()
    if not reply.error and not reply.text_s:
        reply.error = "no text"
    if not reply.error and not reply.n_tokens:
        reply.error = "no usage"
    return reply


async def _stream(
    target: Target, request: Request, reply: Reply, on_text: Callable[[Reply], None] | None
) -> None:
    parts = urlsplit(target.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=READ_LIMIT)
    try:
        body = request.body(is_plain=target.is_plain)
        data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}})
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data.encode())}\r\n"
            "Connection: close\r\n\r\n"
        )
        writer.write(head.encode() + data.encode())
        status = (await reader.readline()).decode()
        if " 200 " not in status:
            rest = (await reader.read(2000)).decode("utf-8", "replace")
            reply.error = f"{status.strip()} {rest}"
            return
        while line := await reader.readline():
            if line.startswith(b"data: {") and take_event(json.loads(line[6:]), reply) and on_text:
                on_text(reply)
    finally:
        writer.close()


def take_event(event: dict[str, object], reply: Reply) -> bool:
    """Add one chunk to the reply; True when it held text."""
    if "error" in event:
        reply.error = str(event["error"])
    usage = event.get("usage")
    if isinstance(usage, dict):
        reply.n_prompt = usage["prompt_tokens"]
        reply.n_tokens = usage["completion_tokens"]
        details = usage.get("prompt_tokens_details") or {}
        reply.n_cached = details.get("cached_tokens") or 0
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices:
        return False
    choice = choices[0]
    text = choice["delta"].get("content") if "delta" in choice else choice.get("text")
    if text:
        reply.text_s.append(time.monotonic())
        reply.text += text
    return bool(text)
