"""Prompts of /api/generate that the model's own template has no part in."""

from __future__ import annotations

from pyserve.engine.protocol import Engine
from pyserve.models.templates.go.evaluator import render
from pyserve.models.templates.go.marked import Marked, joined, user_text
from pyserve.models.templates.go.parser import parse
from pyserve.openai.completions.infill import infill_prompts
from pyserve.schemas.ollama import OllamaGenerateRequest

ANSWER = "\ue000answer\ue001"  # where a template has the answer; the prompt ends before it
TEMPLATE = "template"


def own_prompt(body: OllamaGenerateRequest, engine: Engine) -> str | list[int] | None:
    """The prompt of a request that says how it is made; None: the model's template makes it.

    Token ids, a `Marked` text, or one without control tokens.
    Raises TemplateError, or UnsupportedParameterError for a model that cannot fill in.
    """
    info, prompt = engine.info(), body.prompt or ""
    if body.raw:
        return joined([(_without_begin(prompt, engine), False)])
    if body.suffix:
        return infill_prompts([prompt], body.suffix, info, engine.tokenize)[0]
    if body.template:
        return from_template(body.template, body.system or "", prompt)
    if not info.has_chat_template and not body.system:
        return prompt
    return None


def _without_begin(prompt: str, engine: Engine) -> str:
    """The prompt without its BOS, where the engine adds one."""
    adds_bos = bool(engine.tokenize("", add_special=True, parse_special=False))
    return prompt.removeprefix(engine.info().bos_token) if adds_bos else prompt


def from_template(template: str, system: str, prompt: str) -> Marked:
    """The prompt by a template in Go's syntax. Raises TemplateError."""
    data = {"System": user_text(system), "Prompt": user_text(prompt), "Response": ANSWER}
    text = render(parse(TEMPLATE, template), data)
    end = text.find(ANSWER)
    return text if end < 0 else text.cut(0, end)
