"""Fields that constrain an answer: those of OpenAI, llama-server, vLLM and Ollama.

One request has one constraint. Whether a schema or an expression can be enforced is decided in
`pyserve.openai.structured`, whether a grammar can, in the engine.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from pyserve.schemas.common import RequestModel, invalid, without_nul

MAX_GRAMMAR_BYTES = 64 * 1024
MAX_SCHEMA_BYTES = 256 * 1024
MAX_CHOICE_TEXTS = 1024
MAX_REGEX_CHARS = 4096


def _bounded_grammar(value: str) -> str:
    n_bytes = len(value.encode())
    if n_bytes > MAX_GRAMMAR_BYTES:
        raise invalid("invalid_value", f"has {n_bytes} bytes, at most {MAX_GRAMMAR_BYTES}")
    return value


def _bounded_schema(value: dict[str, Any]) -> dict[str, Any]:
    n_bytes = len(json.dumps(value))
    if n_bytes > MAX_SCHEMA_BYTES:
        raise invalid("invalid_value", f"has {n_bytes} bytes as JSON, at most {MAX_SCHEMA_BYTES}")
    return value


def _parsed(value: object) -> object:
    """Parses a schema that was sent as a text."""
    if not isinstance(value, str):
        return value
    try:
        schema = json.loads(value)
        json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()  # can be written again
    except (ValueError, RecursionError):
        raise invalid("invalid_value", "must be a JSON Schema, but is no JSON") from None
    return schema


def _json_or_schema(value: object) -> object:
    """Ollama's `format`: "json" is any object, "" is nothing."""
    if value == "":
        return None
    if isinstance(value, str) and value != "json":
        raise invalid("invalid_value", f'must be "json" or a JSON Schema, but is {value[:20]!r}')
    return {"type": "object"} if value == "json" else value


Grammar = Annotated[str, AfterValidator(without_nul), AfterValidator(_bounded_grammar)]
Regex = Annotated[str, Field(max_length=MAX_REGEX_CHARS), AfterValidator(without_nul)]
ChoiceText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(without_nul)]
ChoiceTexts = Annotated[
    list[ChoiceText], Field(min_length=1, max_length=MAX_CHOICE_TEXTS, fail_fast=True)
]
# Also as servers of tools have them, with dots, colons and slashes.
FunctionName = Annotated[str, Field(pattern="^[A-Za-z0-9_-][A-Za-z0-9_.:/-]{0,127}$")]
SchemaName = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
JsonSchema = Annotated[dict[str, Any], AfterValidator(_bounded_schema)]
JsonSchemaOrText = Annotated[
    JsonSchema,
    BeforeValidator(_parsed),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string"}]}),
]


OllamaFormat = Annotated[
    JsonSchema | None,
    BeforeValidator(_json_or_schema),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"enum": ["json", ""]}]}),
]


class NamedSchema(RequestModel):
    """A JSON Schema; with `strict`, one in which every object names all its members."""

    name: SchemaName
    description: Annotated[str, Field(max_length=4096)] | None = None
    schema_: JsonSchema | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(RequestModel):
    """The format of the answer. `schema` beside `type` is llama-server's."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None
    schema_: JsonSchema | None = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _schema_fits_type(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None and self.schema_ is None:
            raise invalid(
                "missing_required_parameter", "is required", "response_format.json_schema"
            )
        if self.type != "json_schema" and self.json_schema is not None:
            message = 'needs type "json_schema"'
            raise invalid("invalid_value", message, "response_format.json_schema")
        if self.schema_ is not None and (self.type == "text" or self.json_schema is not None):
            message = 'needs type "json_object" or "json_schema", and no json_schema beside it'
            raise invalid("invalid_value", message, "response_format.schema")
        return self


class TextFormat(RequestModel):
    """The same in the Responses API, where the schema stands beside its name."""

    type: Literal["text", "json_object", "json_schema"]
    name: SchemaName | None = None
    description: Annotated[str, Field(max_length=4096)] | None = None
    schema_: JsonSchema | None = Field(default=None, alias="schema")
    strict: bool | None = None

    @model_validator(mode="after")
    def _schema_fits_type(self) -> TextFormat:
        if self.type == "json_schema":
            for field, value in (("name", self.name), ("schema", self.schema_)):
                if value is None:
                    path = f"text.format.{field}"
                    raise invalid("missing_required_parameter", "is required", path)
        elif self.schema_ is not None:
            raise invalid("invalid_value", 'needs type "json_schema"', "text.format.schema")
        return self


class StructuredOutputs(RequestModel):
    """vLLM's object for one of the constraints."""

    json_: JsonSchemaOrText | None = Field(default=None, alias="json")
    json_object: bool | None = None
    regex: Regex | None = None
    choice: ChoiceTexts | None = None
    grammar: Grammar | None = None

    @model_validator(mode="after")
    def _one_constraint(self) -> StructuredOutputs:
        if len(self._given) != 1:
            message = "needs exactly one of json, json_object, regex, choice, grammar"
            raise invalid("invalid_value", message)
        return self

    @property
    def given(self) -> tuple[str, object]:
        """The name of the one member that is set, as it is sent, and its value."""
        return self._given[0]

    @property
    def _given(self) -> list[tuple[str, object]]:
        values = {"json": self.json_, "regex": self.regex, "choice": self.choice}
        flags = {"grammar": self.grammar or None, "json_object": self.json_object or None}
        return [(k, v) for k, v in {**values, **flags}.items() if v is not None]


class ConstraintFields(RequestModel):
    """At most one constraint; response_format text and an empty grammar are none."""

    response_format: ResponseFormat | None = None
    grammar: Grammar | None = None
    json_schema: JsonSchema | None = None
    regex: Regex | None = None
    choice: ChoiceTexts | None = None
    guided_json: JsonSchemaOrText | None = None
    guided_regex: Regex | None = None
    guided_choice: ChoiceTexts | None = None
    guided_grammar: Grammar | None = None
    ebnf: Grammar | None = None
    structured_outputs: StructuredOutputs | None = None
    format: OllamaFormat | None = None

    @model_validator(mode="after")
    def _one_constraint(self) -> ConstraintFields:
        names = self.constraints
        if len(names) > 1:
            message = f"cannot be combined with {names[0]}: an answer has one constraint"
            raise invalid("invalid_value", message, names[1])
        return self

    @property
    def constraints(self) -> list[str]:
        """The names of the constraint fields that are set."""
        given = [name for name in ConstraintFields.model_fields if getattr(self, name) is not None]
        if self.response_format is not None and self.response_format.type == "text":
            given.remove("response_format")
        return [name for name in given if getattr(self, name) != ""]


class SchemaCheckRequest(RequestModel):
    """A JSON Schema to check; strict: by the rules of OpenAI's strict mode."""

    schema_: JsonSchema = Field(alias="schema")
    strict: bool | None = None
