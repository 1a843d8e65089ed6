"""`tools` and `tool_choice` of the Responses API: tools of every type, of which some are offered.

What the server cannot offer is taken too; the translation leaves it out and names it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import RequestModel, invalid, kind_of
from pyserve.schemas.fields.constraints import FunctionName
from pyserve.schemas.fields.functions import FunctionDefinition
from pyserve.schemas.fields.tools import (
    MAX_TOOLS,
    MAX_TOOLS_BYTES,
    parsed_choice,
)

MAX_DEFINITION_CHARS = 65536
ToolType = Annotated[str, Field(min_length=1, max_length=64)]
Description = Annotated[str, Field(max_length=MAX_DEFINITION_CHARS)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class AnyTool(RequestModel):
    """What all tools have in common."""

    def as_given(self) -> dict[str, Any]:
        """The tool as it came."""
        return self.model_dump(exclude_unset=True)


class ResponseTool(FunctionDefinition, AnyTool):
    """A function."""

    type: Literal["function"]


class InputFormat(AnyTool):
    """What the input of a custom tool has to be; `text` is anything."""

    type: Literal["text", "grammar"]
    syntax: Literal["lark", "regex"] | None = None
    definition: Annotated[str, Field(min_length=1, max_length=MAX_DEFINITION_CHARS)] | None = None

    @model_validator(mode="after")
    def _is_defined(self) -> InputFormat:
        if self.type == "grammar" and (self.syntax is None or self.definition is None):
            raise invalid("missing_required_parameter", "needs `syntax` and `definition`")
        return self


class CustomTool(AnyTool):
    """A tool whose input is a text, not JSON."""

    type: Literal["custom"]
    name: FunctionName
    description: Description | None = None
    format: InputFormat | None = None


class OtherTool(AnyTool):
    """A tool of a type that is not offered to the model. All that it has is repeated."""

    model_config = ConfigDict(extra="allow")

    type: ToolType


def _tool_tag(tool: object) -> str | None:
    kind = kind_of(tool)
    if not isinstance(kind, str):
        return None
    return f"<{kind}>" if kind in ("function", "custom", "namespace") else "<other>"


_NO_TYPE = "must be an object with a `type`"
CallableTool = Annotated[
    Annotated[ResponseTool, Tag("<function>")]
    | Annotated[CustomTool, Tag("<custom>")]
    | Annotated[OtherTool, Tag("<other>")],
    Discriminator(_tool_tag, custom_error_type="invalid_type", custom_error_message=_NO_TYPE),
]


class NamespaceTool(AnyTool):
    """Functions and custom tools whose names belong together."""

    type: Literal["namespace"]
    name: FunctionName
    description: Description | None = None
    tools: Annotated[list[CallableTool], Field(max_length=MAX_TOOLS, fail_fast=True)]


RequestTool = ResponseTool | CustomTool | NamespaceTool | OtherTool
ResponseTools = Annotated[
    list[
        Annotated[
            Annotated[ResponseTool, Tag("<function>")]
            | Annotated[CustomTool, Tag("<custom>")]
            | Annotated[NamespaceTool, Tag("<namespace>")]
            | Annotated[OtherTool, Tag("<other>")],
            Discriminator(
                _tool_tag, custom_error_type="invalid_type", custom_error_message=_NO_TYPE
            ),
        ]
    ],
    Field(max_length=MAX_TOOLS, fail_fast=True),
]


class ChosenTool(RequestModel):
    """A tool by its type, and by its name where it has one."""

    type: ToolType
    name: Name | None = None
    namespace: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_flat(cls, data: Any) -> Any:
        """The name may also stand in a member of the type's name, as in chat completions."""
        inner = data.get(data.get("type")) if isinstance(data, dict) else None
        return {**data, "name": inner.get("name")} if isinstance(inner, dict) else data

    @model_validator(mode="after")
    def _is_named(self) -> ChosenTool:
        if self.type in ("function", "custom") and self.name is None:
            raise invalid("missing_required_parameter", "needs the name of a tool")
        return self


class AllowedResponseTools(RequestModel):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ChosenTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]

    @model_validator(mode="before")
    @classmethod
    def _is_flat(cls, data: Any) -> Any:
        inner = data.get("allowed_tools") if isinstance(data, dict) else None
        return {**data, **inner} if isinstance(inner, dict) else data


def _choice_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<mode>"
    kind = kind_of(value)
    if not isinstance(kind, str):
        return None
    return "<allowed>" if kind == "allowed_tools" else "<named>"


ResponseToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<mode>")]
    | Annotated[ChosenTool, Tag("<named>")]
    | Annotated[AllowedResponseTools, Tag("<allowed>")],
    Discriminator(
        _choice_tag,
        custom_error_type="invalid_value",
        custom_error_message='must be "none", "auto", "required", a tool or allowed_tools',
    ),
    BeforeValidator(parsed_choice),
]


def check_tools_size(tools: list[Any], param: str) -> None:
    """Refuse more text than a prompt can hold."""
    n_bytes = sum(len(json.dumps(tool.as_given())) for tool in tools)
    if n_bytes > MAX_TOOLS_BYTES:
        raise invalid("invalid_value", f"has {n_bytes} bytes, at most {MAX_TOOLS_BYTES}", param)
