"""Answers to the calls that a front makes to an engine core."""

from __future__ import annotations

import logging

from pyserve.engine.protocol import EngineCore
from pyserve.engine.wire import Call, Detokenize, GetInfo, GetStats, Render, Reply, Tokenize
from pyserve.errors import ErrorInfo, InternalError, PyserveError

log = logging.getLogger(__name__)


def answer(core: EngineCore, call: Call) -> Reply:
    """Do what a call asks. Raises what the core raises."""
    call_id = call.call_id
    match call:
        case Tokenize():
            tokens = core.tokenize(
                call.text, add_special=call.add_special, parse_special=call.parse_special
            )
            return Reply(call_id=call_id, tokens=tokens)
        case Detokenize(tokens=tokens):
            return Reply(call_id=call_id, text=core.detokenize(tokens))
        case Render(messages=messages):
            return Reply(call_id=call_id, text=core.render(messages))
        case GetInfo():
            return Reply(call_id=call_id, info=core.info())
        case GetStats():
            return Reply(call_id=call_id, stats=core.stats())


def describe(error: Exception) -> ErrorInfo:
    """What the client learns; the text of an unexpected error stays in the log."""
    if isinstance(error, PyserveError):
        return error.to_info()
    log.error("unexpected error of the engine", exc_info=error)
    return InternalError("the engine failed at this request").to_info()
