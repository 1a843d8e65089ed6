"""Which tools of a responses request are offered to the model, under which names.

A model is offered functions. A custom tool becomes one with the parameter `input`; a tool in a
namespace gets the namespace before its name. Tools of other types are left out, and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from pyserve.errors import InvalidRequestError
from pyserve.openai.chat.conversation import Mode, Offer
from pyserve.openai.structured.text_grammar import TextGrammar
from pyserve.openai.tools.foreign import UnsupportedToolError, unsupported_tool
from pyserve.schemas.fields.custom_tools import text_function
from pyserve.schemas.fields.functions import FunctionDefinition
from pyserve.schemas.response_tools import (
    AllowedResponseTools,
    ChosenTool,
    CustomTool,
    NamespaceTool,
    OtherTool,
    ResponseTool,
)
from pyserve.schemas.responses import ResponseRequest

MAX_NAME_CHARS = 64


class ToolName(msgspec.Struct, frozen=True):
    """How a tool is called in requests and answers."""

    kind: Literal["function", "custom"]
    name: str
    namespace: str | None = None

    @property
    def offered(self) -> str:
        """Its name for the model."""
        return self.name if self.namespace is None else f"{self.namespace}__{self.name}"


class ToolOffer(msgspec.Struct, frozen=True):
    """What is offered, and what is not.

    names: by the name for the model. ignored: the types of tools that are left out.
    """

    offer: Offer = Offer()
    names: Mapping[str, ToolName] = {}
    ignored: tuple[str, ...] = ()


def tool_offer(body: ResponseRequest, *, is_strict: bool = False) -> ToolOffer:
    """The tools of a request.

    is_strict: one that cannot be offered is refused.
    Raises InvalidRequestError for two tools of one name, or one too long for the model, and
    UnsupportedToolError for a choice of what is not offered.
    """
    functions: list[FunctionDefinition] = []
    params: list[str] = []
    names: dict[str, ToolName] = {}
    ignored: list[str] = []
    inputs: dict[str, TextGrammar] = {}
    for param, namespace, tool in _all_tools(body):
        if isinstance(tool, OtherTool):
            if is_strict:
                raise unsupported_tool(param, tool.type)
            ignored.append(tool.type)
            continue
        is_custom = isinstance(tool, CustomTool)
        named = ToolName("custom" if is_custom else "function", tool.name, namespace)
        _check_name(named, names, param)
        names[named.offered] = named
        params.append(param)
        functions.append(_definition(tool, named))
        grammar = _input_grammar(tool, param)
        if grammar is not None:
            inputs[named.offered] = grammar
    offer = Offer(functions, params, can_repeat=body.parallel_tool_calls, inputs=inputs)
    return ToolOffer(
        _chosen(offer, body, names, has_ignored=bool(ignored)),
        names,
        tuple(dict.fromkeys(ignored)),
    )


def _all_tools(
    body: ResponseRequest,
) -> Iterator[tuple[str, str | None, ResponseTool | CustomTool | OtherTool]]:
    """Each tool with its place and its namespace."""
    for param, tool in body.placed_tools:
        if isinstance(tool, NamespaceTool):
            for i, inner in enumerate(tool.tools):
                yield f"{param}.tools.{i}", tool.name, inner
        else:
            yield param, None, tool


def _check_name(named: ToolName, names: Mapping[str, ToolName], param: str) -> None:
    if named.offered in names:
        message = f"{param}.name is the name of an earlier tool"
        raise InvalidRequestError(message, param=f"{param}.name")
    if len(named.offered) > MAX_NAME_CHARS:
        message = f"{param}.name has {len(named.offered)} characters with its namespace, at most"
        raise InvalidRequestError(f"{message} {MAX_NAME_CHARS}", param=f"{param}.name")


def _definition(tool: ResponseTool | CustomTool, named: ToolName) -> FunctionDefinition:
    """The function that is offered."""
    if isinstance(tool, ResponseTool):
        return FunctionDefinition(
            name=named.offered,
            description=tool.description,
            parameters=tool.parameters,
            strict=tool.strict,
        )
    form = tool.format
    shown = None
    if form is not None and form.syntax is not None and form.definition is not None:
        shown = (form.syntax, form.definition)
    return text_function(named.offered, tool.description, shown)


def _input_grammar(tool: ResponseTool | CustomTool, param: str) -> TextGrammar | None:
    """What the input of a custom tool has to be. Raises InvalidRequestError."""
    if isinstance(tool, ResponseTool) or tool.format is None:
        return None
    form = tool.format
    if form.syntax is None or form.definition is None:
        return None
    grammar = TextGrammar(form.syntax, form.definition)
    grammar.check(f"{param}.format.definition")
    return grammar


def _chosen(
    offer: Offer, body: ResponseRequest, names: Mapping[str, ToolName], *, has_ignored: bool
) -> Offer:
    """`offer`, restricted by tool_choice."""
    choice = body.tool_choice
    if choice is None:
        return offer
    if isinstance(choice, str):
        if choice == "required" and not names:
            code = UnsupportedToolError if has_ignored else InvalidRequestError
            raise code("tool_choice needs tools that can be offered", param="tool_choice")
        return msgspec.structs.replace(offer, mode=choice)
    if isinstance(choice, AllowedResponseTools):
        found = [_named(each, names) for each in choice.tools]
        return _restricted(offer, choice.mode, found, len(names))
    return msgspec.structs.replace(
        _restricted(offer, "required", [_named(choice, names)], len(names)), can_repeat=False
    )


def _named(choice: ChosenTool, names: Mapping[str, ToolName]) -> str | None:
    """The offered name of a chosen tool."""
    if choice.type not in ("function", "custom") or choice.name is None:
        return None
    kind: Literal["function", "custom"] = "custom" if choice.type == "custom" else "function"
    wanted = ToolName(kind, choice.name, choice.namespace)
    return wanted.offered if names.get(wanted.offered) == wanted else None


def _restricted(offer: Offer, mode: Mode, found: list[str | None], n_offered: int) -> Offer:
    allowed = frozenset(name for name in found if name is not None)
    if not allowed:
        message = f"tool_choice names no tool that is offered, of which there are {n_offered}"
        raise UnsupportedToolError(message, param="tool_choice")
    return msgspec.structs.replace(offer, mode=mode, allowed=allowed)
