"""`tools`, `tool_choice`: functions that a model may call, as in OpenAI's chat completions.

`tool_choice` is also taken in the flat form of the Responses API, and as JSON in a string.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import RequestModel, invalid, kind_of
from pyserve.schemas.fields.custom_tools import CustomTool
from pyserve.schemas.fields.functions import FunctionDefinition

MAX_TOOLS = 512
MAX_TOOLS_BYTES = 1024 * 1024


def only_functions(tool: object) -> object:
    """`tool`, unless it is of another type."""
    return _of_type(tool, ("function",))


def _of_type(tool: object, types: Sequence[str]) -> object:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if isinstance(kind, str) and kind not in types:
        shown = " and ".join(f'"{known}"' for known in types)
        raise invalid("unsupported_content", f"is not supported: only tools of type {shown} are")
    return tool


def _function_or_custom(tool: object) -> object:
    return _of_type(tool, ("function", "custom"))


class FunctionTool(RequestModel):
    """A tool: a function."""

    type: Literal["function"]
    function: FunctionDefinition


def _tool_tag(tool: object) -> str:
    return "<custom>" if kind_of(tool) == "custom" else "<function>"


Tool = Annotated[
    Annotated[FunctionTool, BeforeValidator(_function_or_custom), Tag("<function>")]
    | Annotated[CustomTool, Tag("<custom>")],
    Discriminator(_tool_tag),
]


class NamedFunction(RequestModel):
    """A function by its name."""

    name: Annotated[str, Field(min_length=1, max_length=256)]


class NamedTool(RequestModel):
    """A tool by its name: in `function` or `custom`, or flat."""

    type: Literal["function", "custom"]
    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    function: NamedFunction | None = None
    custom: NamedFunction | None = None

    @model_validator(mode="after")
    def _is_named(self) -> NamedTool:
        if self.name is None and self.function is None and self.custom is None:
            raise invalid("missing_required_parameter", "needs the name of a function")
        return self

    @property
    def function_name(self) -> str:
        named = self.function or self.custom
        return self.name or (named.name if named else "")


class ToolSubset(RequestModel):
    """Some of the tools."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class AllowedTools(RequestModel):
    """A choice among some of the tools: in `allowed_tools`, or flat."""

    type: Literal["allowed_tools"]
    allowed_tools: ToolSubset | None = None
    mode: Literal["auto", "required"] | None = None
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)] | None = None

    @model_validator(mode="after")
    def _has_tools(self) -> AllowedTools:
        if self.allowed_tools is None and (self.mode is None or self.tools is None):
            raise invalid("missing_required_parameter", "needs `mode` and `tools`")
        return self

    @property
    def subset(self) -> ToolSubset:
        if self.allowed_tools is not None:
            return self.allowed_tools
        return ToolSubset(mode=self.mode or "auto", tools=self.tools or [])


def _choice_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<mode>"
    kind = value.get("type") if isinstance(value, dict) else None
    return {"function": "<named>", "custom": "<named>", "allowed_tools": "<allowed>"}.get(str(kind))


def parsed_choice(value: object) -> object:
    """`tool_choice`, which may be JSON in a string."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<mode>")]
    | Annotated[NamedTool, Tag("<named>")]
    | Annotated[AllowedTools, Tag("<allowed>")],
    Discriminator(
        _choice_tag,
        custom_error_type="invalid_value",
        custom_error_message='must be "none", "auto", "required", a function or allowed_tools',
    ),
    BeforeValidator(parsed_choice),
]


def _function_choice_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<mode>"
    return "<named>" if isinstance(value, dict) else None


FunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("<mode>")] | Annotated[NamedFunction, Tag("<named>")],
    Discriminator(
        _function_choice_tag,
        custom_error_type="invalid_value",
        custom_error_message='must be "none", "auto" or the name of a function in an object',
    ),
]


def check_tools(functions: Sequence[FunctionDefinition], param: str) -> None:
    """Refuse two functions of one name, and more text than a prompt can hold."""
    names = [function.name for function in functions]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise invalid(
                "invalid_value", "is the name of an earlier function", f"{param}.{i}.name"
            )
    n_bytes = sum(definition_bytes(function) for function in functions)
    if n_bytes > MAX_TOOLS_BYTES:
        message = f"has {n_bytes} bytes of text, at most {MAX_TOOLS_BYTES}"
        raise invalid("invalid_value", message, param)


def check_choice(choice: Any, names: list[str], param: str) -> None:
    """Refuse a choice of a function that is not offered."""
    if choice == "required" and not names:
        raise invalid("invalid_value", "needs tools", param)
    chosen: list[str] = []
    if isinstance(choice, NamedTool):
        chosen = [choice.function_name]
    elif isinstance(choice, NamedFunction):
        chosen = [choice.name]
    elif isinstance(choice, AllowedTools):
        chosen = [tool.function_name for tool in choice.subset.tools]
    for name in chosen:
        if name not in names:
            message = f"names a function that is none of the {len(names)} offered"
            raise invalid("invalid_value", message, param)


class ToolFields(RequestModel):
    """Offered functions. `functions` and `function_call` are their older form."""

    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: (
        Annotated[list[FunctionDefinition], Field(max_length=MAX_TOOLS, fail_fast=True)] | None
    ) = None
    function_call: FunctionChoice | None = None

    @model_validator(mode="after")
    def _tools_fit_together(self) -> ToolFields:
        tools, functions = self.tools or [], self.functions or []
        if tools and functions:
            raise invalid("invalid_value", "cannot be combined with tools", "functions")
        offered = [tool.function for tool in tools]
        check_tools(offered, "tools")
        check_choice(self.tool_choice, [function.name for function in offered], "tool_choice")
        check_tools(functions, "functions")
        check_choice(self.function_call, [function.name for function in functions], "function_call")
        return self


def definition_bytes(definition: FunctionDefinition) -> int:
    """The approximate bytes that a definition adds to a prompt."""
    return len((definition.description or "").encode()) + len(json.dumps(definition.parameters))
