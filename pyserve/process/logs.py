"""`--log-format`, `--log-level`: logging of every process, as text or one JSON object per line.

Prompts and answers are never logged. Texts of clients (names, paths) are cut, and escaped in JSON
or made printable in text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Any, Literal

import msgspec

MAX_MESSAGE_CHARS = 4096
MAX_TRACE_CHARS = 16_384
FIELDS = "fields"  # the name of the `extra` whose members become members of the object

LogFormat = Literal["text", "json"]
Context = Callable[[], dict[str, Any]]


class TextFormatter(logging.Formatter):
    """`LEVEL logger: message`, one line but for tracebacks."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"%(levelname)s {prefix}: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = super().formatMessage(record)[:MAX_MESSAGE_CHARS]
        return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, process, logger, message, and what `context` adds."""

    def __init__(self, process: str, context: Context) -> None:
        super().__init__()
        self._process = process
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage()[:MAX_MESSAGE_CHARS],
        }
        fields |= self._context() | getattr(record, FIELDS, {})
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)[-MAX_TRACE_CHARS:]
        return msgspec.json.encode(fields, enc_hook=str).decode()


def configure_logs(
    level: str,
    style: LogFormat,
    process: str,
    *,
    prefix: str = "%(name)s",
    context: Context = dict,
    file: str | None = None,
) -> None:
    """Set up logging. process: the name of this one. prefix: of text lines.

    file: to append to, opened again when it was moved or removed; None = stderr.
    """
    handler = WatchedFileHandler(file) if file else logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(process, context) if style == "json" else TextFormatter(prefix)
    )
    logging.basicConfig(level=level.upper(), handlers=[handler])
