"""Answers to the calls that a front makes to an engine core."""

from __future__ import annotations

import logging
from typing import Any

from pyserve.engine.protocol import EngineCore
from pyserve.engine.remote.wire import (
    Call,
    Detokenize,
    GetInfo,
    GetStats,
    Pieces,
    Render,
    Reply,
    ScaleAdapters,
    Tokenize,
    TokenizeChat,
    TokenizeSegments,
)
from pyserve.errors import ErrorInfo, InternalError, PyserveError

log = logging.getLogger(__name__)


def answer(core: EngineCore, call: Call) -> Reply:
    """Do what a call asks. Raises what the core raises."""
    value: dict[str, Any]
    match call:
        case Tokenize(text=text, add_special=add_special, parse_special=parse_special):
            tokens = core.tokenize(text, add_special=add_special, parse_special=parse_special)
            value = {"tokens": tokens}
        case Detokenize(tokens=tokens):
            value = {"text": core.detokenize(tokens)}
        case Pieces(tokens=tokens):
            value = {"pieces": core.pieces(tokens)}
        case Render(messages=messages, options=options):
            value = {"text": core.render(messages, options)}
        case TokenizeChat(messages=messages, options=options):
            value = {"tokens": core.tokenize_chat(messages, options)}
        case TokenizeSegments(segments=segments):
            value = {"tokens": core.tokenize_segments(segments)}
        case GetInfo():
            value = {"info": core.info()}
        case GetStats():
            value = {"stats": core.stats()}
        case ScaleAdapters(scales=scales):
            value = {"scales": core.adapter_scales(scales)}
    return Reply(call_id=call.call_id, **value)


def describe(error: Exception) -> ErrorInfo:
    """What the client learns; the text of an unexpected error stays in the log."""
    if isinstance(error, PyserveError):
        return error.to_info()
    log.error("unexpected error of the engine", exc_info=error)
    return InternalError("the engine failed at this request").to_info()
