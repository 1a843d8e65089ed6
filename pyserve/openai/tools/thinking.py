"""Detects from the chat template whether and between which tags a model reasons."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import msgspec

from pyserve.engine.markers import THINKING_TAGS
from pyserve.engine.protocol import Engine, TemplateOptions
from pyserve.errors import InvalidRequestError
from pyserve.models.profile import PLAIN, ModelProfile, ThinkingProfile
from pyserve.openai.tools.formats import AnswerFormat
from pyserve.openai.tools.parts import Thinking

MAX_KNOWN = 256
QUESTION = "What is thinking?"
# Tokens of reasoning for each effort that OpenAI names; None: no limit.
EFFORT_TOKENS = {
    "none": 0,
    "minimal": 128,
    "low": 512,
    "medium": 2048,
    "high": 8192,
    "xhigh": None,
    "max": None,
}
_known: dict[tuple[str, str], Thinking | None] = {}


@functools.lru_cache(MAX_KNOWN)
def thinking_tags(chat_template: str) -> tuple[str, str] | None:
    """The reasoning tags in the template; None: the model does not reason."""
    return next((pair for pair in THINKING_TAGS if pair[1] in chat_template), None)


def thinking_of(
    engine: Engine,
    variables: dict[str, Any],
    profile: ModelProfile = PLAIN,
    layout: AnswerFormat | None = None,
) -> Thinking | None:
    """The reasoning of an answer, for a prompt with these template variables.

    profile: may name other tags than the template's. layout: of the template's answers. A prompt
    that ends with both tags leaves nothing to think: None. Any thread.
    """
    source = engine.info().file_template
    tags = _tags(source, profile.thinking, layout)
    if tags is None:
        return None
    if layout is not None and layout.channels is not None:
        return Thinking(*tags)
    configured = msgspec.json.encode((profile.prompt, profile.thinking, tags))
    digest = hashlib.sha256(source.encode() + configured).hexdigest()
    key = (digest, json.dumps(variables, sort_keys=True))
    if key not in _known:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[key] = _probed(engine, tags, variables, profile.thinking)
    found = _known[key]
    if found is None or layout is None or not layout.is_repeated:
        return found
    return msgspec.structs.replace(found, is_repeated=True)


def _tags(
    source: str, thinking: ThinkingProfile, layout: AnswerFormat | None
) -> tuple[str, str] | None:
    """The first configured pair that the template has, else the template's own."""
    if thinking.tags:
        return next((pair for pair in thinking.tags if pair[1] in source), thinking.tags[0])
    return thinking_tags(source) if layout is None else layout.thinking


def _probed(
    engine: Engine, tags: tuple[str, str], variables: dict[str, Any], thinking: ThinkingProfile
) -> Thinking | None:
    begin, end = tags
    options = TemplateOptions(variables=variables)
    try:
        prompt = engine.render([{"role": "user", "content": QUESTION}], options)
    except InvalidRequestError:  # nor does it take a question alone
        return Thinking(begin, end)
    tail = prompt[prompt.rfind(QUESTION) + len(QUESTION) :]
    tail = tail.removeprefix(end)  # some models end thoughts as they end questions
    if end in tail:
        return None
    is_open = tail.rstrip().endswith((begin, *thinking.starts)) and not thinking.is_never_open
    return Thinking(begin, end, is_open=is_open)
