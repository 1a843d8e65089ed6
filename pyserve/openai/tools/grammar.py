"""Grammar of answers that may hold reasoning and tool calls.

Reasoning and text before a tool call are unconstrained. A call that has begun is well formed, names
an offered function, and its arguments follow their schema.
"""

from __future__ import annotations

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.openai.structured.constraint import MAX_COMPILED_BYTES
from pyserve.openai.structured.json_text import JsonRules
from pyserve.openai.structured.rules import any_of, literal
from pyserve.openai.tools.call_writer import GAP, Calls, CallWriter
from pyserve.openai.tools.formats import Channels
from pyserve.openai.tools.free_text import text_until
from pyserve.openai.tools.loose_calls import LooseText
from pyserve.openai.tools.message_reader import PYTHON_TAG
from pyserve.openai.tools.parts import Thinking
from pyserve.openai.tools.text_reader import SPACE


class Surroundings(msgspec.Struct, frozen=True):
    """What stands around text in an answer: marks before it, or headers of messages."""

    text_begin: str = ""
    channels: Channels | None = None
    is_continued: bool = False


NOTHING_AROUND = Surroundings()


def answer_grammar(
    thinking: Thinking | None,
    calls: Calls | None,
    constraint: str,
    around: Surroundings = NOTHING_AROUND,
) -> str:
    """GBNF for the answers to a request; "": anything.

    constraint: GBNF of the text, when it is no call. Reasoning comes first.
    Raises InvalidRequestError when the schemas of functions cannot be enforced.
    """
    if calls is None:
        return constraint and _grammar(thinking, None, constraint, around)
    grammar = _grammar(thinking, calls, constraint, around)
    if len(grammar.encode()) > MAX_COMPILED_BYTES:
        grammar = _grammar(thinking, calls, constraint, around, holds_unmarked=False)
    if len(grammar.encode()) > MAX_COMPILED_BYTES:
        _refuse_large_strict(calls, len(grammar.encode()))
        grammar = _grammar(thinking, calls, constraint, around, is_loose=True, holds_unmarked=False)
    if len(grammar.encode()) > MAX_COMPILED_BYTES:
        _refuse(len(grammar.encode()), "tools")
    return grammar


def _refuse_large_strict(calls: Calls, n_bytes: int) -> None:
    for function in calls.functions:
        if function.is_strict:
            _refuse(n_bytes, function.param)


def _refuse(n_bytes: int, param: str) -> None:
    message = f"{param}: the functions become a grammar of {n_bytes} bytes, at most"
    raise InvalidRequestError(f"{message} {MAX_COMPILED_BYTES}", param=param)


def _grammar(
    thinking: Thinking | None,
    calls: Calls | None,
    constraint: str,
    around: Surroundings,
    *,
    is_loose: bool = False,
    holds_unmarked: bool = True,
) -> str:
    """holds_unmarked: also calls that begin without their mark."""
    is_bare = around.is_continued or not (around.channels or around.text_begin)
    if thinking is None and calls is None and is_bare:
        return constraint
    rules = JsonRules()
    root = rules.reserve_root()
    writer = None if calls is None else CallWriter(rules, calls, is_loose, holds_unmarked)
    if around.channels is not None:
        is_continued = around.is_continued
        rules.define(
            root, _channeled(rules, around.channels, thinking, writer, constraint, is_continued)
        )
        return rules.text()
    before = f"({GAP} {literal(around.text_begin)})?" if around.text_begin else ""
    if writer is None:
        answer = f"{before} {rules.include(constraint)}"
    else:
        answer = _answer(writer, constraint, before, thinking)
    must_answer = bool(constraint) or (calls is not None and calls.is_required)
    rules.define(
        root, answer if thinking is None else _thoughtful(rules, thinking, answer, must_answer)
    )
    return rules.text()


def _channeled(
    rules: JsonRules,
    channels: Channels,
    thinking: Thinking | None,
    writer: CallWriter | None,
    constraint: str,
    is_continued: bool,
) -> str:
    """A message of reasoning, maybe, and one of text or of a call."""
    is_required = writer is not None and writer.calls.is_required
    called = [] if writer is None else writer.channel_calls(channels)
    if is_continued and constraint:
        return rules.include(constraint)
    if writer is not None and not (is_required or constraint):
        return writer.free_channels(channels, called)
    text = any_of(literal(header) for header in channels.text_headers)
    told = [*called] if is_required else [*called, f"{text} {rules.include(constraint)}"]
    answer = rules.add(any_of(told))
    if thinking is None:
        return answer
    following = f"{GAP} {literal(channels.next_header)} {answer}"
    thoughts = text_until(rules, thinking.end, following, can_end=False)[0]
    return any_of([f'" "? {literal(thinking.begin)} {thoughts}', answer])


def _thoughtful(rules: JsonRules, thinking: Thinking, answer: str, must_answer: bool) -> str:
    answer = rules.add(answer)
    reasoning = text_until(rules, thinking.end, f"{GAP} {answer}", can_end=not must_answer)[0]
    if thinking.is_open:
        return reasoning
    return any_of([f"{GAP} {literal(thinking.begin)} {reasoning}", answer])


def _answer(writer: CallWriter, constraint: str, before: str, thinking: Thinking | None) -> str:
    """Calls, or text: constrained by `constraint`, else free up to the first call.

    before: the expression for what may stand before constrained text. thinking: may come before
    all of it.
    """
    rules, calls = writer.rules, writer.calls
    trigger = calls.format.trigger
    run = rules.add(writer.run())
    if calls.is_required:
        return f"{GAP} {literal(trigger)} {run}"
    if constraint:
        constrained = f"{before} {rules.include(constraint)}"
        return any_of([f"{GAP} {literal(trigger)} {run}", constrained])
    marks = {trigger or PYTHON_TAG: run} | writer.begins()
    opening = writer.opening()
    text = LooseText(rules, marks, opening)
    if not trigger:
        other = text.text_after(SPACE + calls.format.bare_begin)
        return f"[ \\t\\r\\n]* {any_of([run, other])}"
    if opening is not None and calls.format.opening:
        return text.answer(calls.format.opening, [thinking.begin] if thinking else [])
    return text.text()
