"""Sends prompts to a server so that they are computed before clients send them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyserve.errors import InvalidRequestError

TIMEOUT_S = 3600.0  # a long prompt takes minutes on a small machine
MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_SHOWN = 300


@dataclass(frozen=True)
class Server:
    """Where prompts are sent to, and as whom."""

    url: str
    api_key: str = ""


@dataclass(frozen=True)
class Prompt:
    """A line of a file: where it goes, and the body."""

    line: int
    path: str
    body: dict[str, Any]


def read_prompts(file: Path, model: str = "") -> list[Prompt]:
    """The prompts of a file. Raises InvalidRequestError, naming the line."""
    prompts = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, 1):
                if text.strip():
                    prompts.append(_read_prompt(number, text, model))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{file} cannot be read: {error}") from error
    return prompts


def _read_prompt(number: int, text: str, model: str) -> Prompt:
    if len(text) > MAX_LINE_BYTES:
        raise InvalidRequestError(f"line {number} is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidRequestError(f"line {number} is not JSON: {error}") from error
    body = {"prompt": value} if isinstance(value, str) else value
    if not isinstance(body, dict) or ("messages" in body) == ("prompt" in body):
        raise InvalidRequestError(
            f"line {number} is neither a text nor a body with `messages` or `prompt`"
        )
    if model:
        body = {"model": model, **body}
    if "messages" in body:
        body.pop("max_completion_tokens", None)
        return Prompt(number, "/v1/chat/completions", {**body, "max_tokens": 0, "stream": False})
    return Prompt(number, "/v1/completions", {**body, "max_tokens": 1, "stream": False})


def warm_all(server: Server, prompts: Iterable[Prompt], say: Callable[[str], None]) -> int:
    """Have the prompts computed one after another; returns how many failed."""
    n_failed = 0
    for prompt in prompts:
        begin = time.monotonic()
        try:
            usage = _send(server, prompt)
        except urllib.error.HTTPError as error:
            n_failed += 1
            text = error.read(MAX_SHOWN).decode(errors="replace")
            say(f"line {prompt.line}: {error.code}: {text}")
        except (OSError, ValueError) as error:
            n_failed += 1
            say(f"line {prompt.line}: {error}")
        else:
            seconds = time.monotonic() - begin
            n_cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
            n_prompt = usage.get("prompt_tokens", 0)
            say(f"line {prompt.line}: {n_prompt} tokens, {n_cached} were there, {seconds:.1f} s")
    return n_failed


def _send(server: Server, prompt: Prompt) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if server.api_key:
        headers["Authorization"] = f"Bearer {server.api_key}"
    request = urllib.request.Request(
        server.url.rstrip("/") + prompt.path, json.dumps(prompt.body).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        answer = json.load(response)
    usage = answer.get("usage")
    return usage if isinstance(usage, dict) else {}
