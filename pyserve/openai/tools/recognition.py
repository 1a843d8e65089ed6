"""Which format a model's answers have: of its configuration, derived, known, or none of its own."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import msgspec

from pyserve.engine.markers import CALL_MARKERS, HEADER_MARKERS, shown_marks
from pyserve.engine.protocol import Engine, TemplateOptions
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.tools.derive import derive, derived_thinking
from pyserve.openai.tools.formats import GENERIC, AnswerFormat, configured_format, control_marks
from pyserve.openai.tools.known_formats import (
    answer_tags,
    call_format,
    other_ends,
    signed_format,
    special_format,
    unshown_format,
    variant_marks,
)
from pyserve.openai.tools.probes import NOT_THINKING, THINKING, Message, Prober, Render
from pyserve.openai.tools.thinking import thinking_tags
from pyserve.openai.tools.value_texts import CDATA

MAX_KNOWN = 256
EFFORT_VARIABLES = ("reasoning_effort", "thinking_effort", "reasoning_strength")
ON = "on"  # the effort where thoughts are wanted and no effort is named
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
_known: dict[tuple[str, str], AnswerFormat] = {}  # by template and vocabulary


@functools.lru_cache(MAX_KNOWN)
def may_think(chat_template: str) -> bool:
    """Whether the text of a template shows that its model reasons."""
    special = special_format(chat_template)
    if special is not None and special.thinking is not None:
        return True
    if thinking_tags(chat_template) is not None or "'<think{" in chat_template:
        return True
    return any("think" in mark for mark in control_marks(*shown_marks(chat_template)))


def format_of(engine: Engine, source: str, profile: ModelProfile = PLAIN) -> AnswerFormat:
    """The format of the answers of a model. source: its template for this chat. Any thread."""
    info = engine.info()
    shown = profile.prompt.function_text
    if shown or not source:
        calls = configured_format(signed_format(shown), profile.calls) if shown else GENERIC
        return AnswerFormat(
            name=calls.name,
            origin="configured" if shown else "generic",
            calls=calls,
            thinking=thinking_tags(info.file_template),
        )
    key = (hashlib.sha256(source.encode()).hexdigest(), info.fingerprint)
    if key not in _known:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        form = recognized(source, _renderer(engine))
        marks = (*form.marks, *_control_tags(engine, source))
        ends = (form.turn_end, *other_ends(source))
        spelled = [end for end in ends if end and not _is_control(engine, end)]
        stops = (*form.stops, *spelled)
        _known[key] = msgspec.structs.replace(
            form, marks=tuple(dict.fromkeys(marks)), stops=tuple(dict.fromkeys(stops))
        )
    return _known[key]


def _control_tags(engine: Engine, source: str) -> list[str]:
    """The words such as `</think>` in a template that are control tokens, and so never text.

    In most vocabularies they are tokens of text: a model that explains them writes these. Marks of
    calls are never text either where they are control tokens that this template does not know.
    """
    marks = dict.fromkeys((*shown_marks(source), *CALL_MARKERS))
    return [mark for mark in marks if _is_control(engine, mark)]


def _is_control(engine: Engine, mark: str) -> bool:
    """Whether a text is a control token."""
    as_control, as_text = (
        engine.tokenize(mark, add_special=False, parse_special=parses) for parses in (True, False)
    )
    return len(as_control) == 1 and len(as_text) > 1


def _renderer(engine: Engine) -> Render:
    def render(
        messages: list[Message], tools: list[dict[str, Any]], variables: dict[str, Any]
    ) -> str:
        return engine.render(messages, TemplateOptions(tools=tools, variables=variables))

    return render


def recognized(source: str, render: Render) -> AnswerFormat:
    """The format of a template with this source. render: makes prompts with it."""
    form = _recognized(source, render)
    shown = [*shown_marks(source), *(mark for mark in HEADER_MARKERS if mark in source)]
    marks = [mark for mark in shown if control_marks(mark) == (mark,)]
    prober = Prober(render)
    ends = prober.turn_end()
    return msgspec.structs.replace(
        form,
        marks=tuple(dict.fromkeys([*form.marks, *marks, *variant_marks(form.calls)])),
        text_tags=answer_tags(source) if form.thinking else None,
        hides_text=prober.hides_text(form.thoughts_key),
        refuses=prober.refusals(),
        turn_end="" if form.channels or ends in (*form.all_marks, *marks) else ends,
        efforts=form.efforts or _efforts(source, prober, form.thinking),
    )


def _efforts(source: str, prober: Prober, thinking: tuple[str, str] | None) -> dict[str, str]:
    """For each effort that the template refuses the nearest one that it takes.

    Where efforts alone switch thoughts, also "none", and what ON is.
    """
    names = [name for name in EFFORT_VARIABLES if name in source]
    taken = {
        effort: prober.prompt({**THINKING, **dict.fromkeys(names, effort)}, has_tools=False)
        for effort in (EFFORTS if names else ())
    }
    known = [effort for effort in taken if taken[effort] is not None]
    if not known:
        return {}

    def nearest(effort: str) -> str:
        at = EFFORTS.index(effort)
        return min(known, key=lambda one: (abs(EFFORTS.index(one) - at), -EFFORTS.index(one)))

    words = {effort: nearest(effort) for effort in taken if effort not in known}
    return words | _switches(prober, names, thinking, words.get("medium", "medium"))


def _switches(
    prober: Prober, names: list[str], thinking: tuple[str, str] | None, usual: str
) -> dict[str, str]:
    """Efforts that switch thoughts off and on, where a template has no other switch."""

    def asked(variables: dict[str, Any], effort: str = "") -> str:
        efforts = dict.fromkeys(names, effort) if effort else {}
        return prober.question({**variables, **efforts})

    def is_open(prompt: str) -> bool:
        return thinking is not None and prompt.rstrip().endswith(thinking[0].strip())

    none, off, on = asked(NOT_THINKING, "none"), asked(NOT_THINKING), asked(THINKING)
    if thinking is None or not none:
        return {}
    if is_open(off) and not is_open(none):
        return {"none": "none"}
    is_only_by_effort = none == off == on != asked(THINKING, usual)
    return {ON: usual} if is_only_by_effort and not is_open(on) else {}


def _recognized(source: str, render: Render) -> AnswerFormat:
    special = special_format(source)
    if special is not None:
        return special
    tags = thinking_tags(source)
    prober = Prober(render)
    known = unshown_format(source) or call_format(source)
    takes_calls = prober.takes_calls()
    derived = derive(prober, tags) if takes_calls else None
    if derived is not None and known.trigger and not (derived.calls.trigger or known.is_generic):
        derived = None  # it tells its model another form than it shows, and one that is no text
    if derived is not None and CDATA in source:
        calls = msgspec.structs.replace(derived.calls, has_cdata=True)
        return msgspec.structs.replace(derived, calls=calls)
    if derived is not None:
        return derived
    calls = known if takes_calls else GENERIC
    thinking = derived_thinking(prober, tags)
    return AnswerFormat(
        name=calls.name,
        origin="generic" if calls.is_generic else "known",
        calls=calls,
        thinking=thinking,
        is_repeated=thinking is not None and bool(control_marks(thinking[0])),
    )


def in_words(form: AnswerFormat) -> str:
    """A format in a line: how it was recognized, calls, thoughts."""
    calls = form.calls
    if calls.is_generic:
        told = "the template knows no tools, the system message describes them"
    else:
        begin = f" after {calls.trigger.strip()!r}" if calls.trigger else ""
        told = f"{calls.kind} calls{begin}"
    parts = [f"{form.name} ({form.origin}): {told}"]
    if form.thinking is not None:
        begin, end = (tag.strip() for tag in form.thinking)
        parts.append(f"thoughts between {begin} and {end}")
    if form.channels is not None:
        parts.append("messages with headers")
    return ", ".join(parts)
