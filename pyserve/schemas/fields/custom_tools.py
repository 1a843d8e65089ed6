"""Custom tools: tools that take a text instead of JSON, as in OpenAI's chat completions.

A model is offered a function with the text as its only parameter.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pyserve.schemas.common import RequestModel, invalid
from pyserve.schemas.fields.constraints import FunctionName
from pyserve.schemas.fields.functions import FunctionDefinition

INPUT = "input"  # the parameter of the function
MAX_DEFINITION_CHARS = 65536
Syntax = Literal["lark", "regex"]


class GrammarDefinition(RequestModel):
    """A grammar, or a regular expression that matches the whole text."""

    syntax: Syntax
    definition: Annotated[str, Field(min_length=1, max_length=MAX_DEFINITION_CHARS)]


class CustomFormat(RequestModel):
    """What the text has to be; `text` is anything."""

    type: Literal["text", "grammar"]
    grammar: GrammarDefinition | None = None

    @model_validator(mode="after")
    def _is_defined(self) -> CustomFormat:
        if self.type == "grammar" and self.grammar is None:
            raise invalid("missing_required_parameter", "needs `grammar`")
        return self


class CustomDefinition(RequestModel):
    """A tool that takes a text."""

    name: FunctionName
    description: Annotated[str, Field(max_length=65536)] | None = None
    format: CustomFormat | None = None


class CustomTool(RequestModel):
    """A tool: one that takes a text."""

    type: Literal["custom"]
    custom: CustomDefinition

    @property
    def function(self) -> FunctionDefinition:
        """The function that is offered in its place."""
        form = self.custom.format
        grammar = form.grammar if form is not None and form.type == "grammar" else None
        shown = None if grammar is None else (grammar.syntax, grammar.definition)
        return text_function(self.custom.name, self.custom.description, shown)


class CalledCustom(RequestModel):
    """The custom tool of an earlier call, and its text."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: str


def text_function(
    name: str, description: str | None, grammar: tuple[Syntax, str] | None
) -> FunctionDefinition:
    """A function whose only parameter is a text. grammar: its syntax and definition."""
    if grammar is not None:
        kind = "regular expression" if grammar[0] == "regex" else "Lark grammar"
        form = f"`{INPUT}` is a text of this {kind}:\n{grammar[1]}"
        description = f"{description}\n\n{form}" if description else form
    parameters = {
        "type": "object",
        "properties": {INPUT: {"type": "string"}},
        "required": [INPUT],
        "additionalProperties": False,
    }
    return FunctionDefinition(name=name, description=description or "", parameters=parameters)


def text_arguments(text: str) -> str:
    """The arguments of such a function."""
    return json.dumps({INPUT: text}, ensure_ascii=False)
