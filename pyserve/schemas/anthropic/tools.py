"""`tools`, `tool_choice` of Anthropic's Messages API."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import RequestModel, invalid
from pyserve.schemas.fields.constraints import JsonSchema
from pyserve.schemas.fields.functions import FunctionDefinition
from pyserve.schemas.fields.tools import MAX_TOOLS
from pyserve.schemas.unsupported import ANY, FieldTable

ToolName = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,128}$")]


class ClientTool(FunctionDefinition):
    """A function that the client runs. strict: the schema is enforced or refused."""

    foreign: ClassVar[FieldTable] = FieldTable(
        {},
        {
            "allowed_callers": (["direct"],),
            "cache_control": (ANY,),
            "defer_loading": (False,),
            "eager_input_streaming": (ANY,),
            "input_examples": ([],),
        },
    )

    type: Literal["custom"] | None = None
    name: ToolName
    parameters: JsonSchema = Field(alias="input_schema")


class ForeignTool(RequestModel):
    """A tool that Anthropic runs, or defines without a schema. It is not offered to the model."""

    foreign: ClassVar[FieldTable] = FieldTable({}, {"name": (ANY,), "cache_control": (ANY,)})

    type: Annotated[str, Field(min_length=1, max_length=128)]


def _tool_tag(tool: object) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return "<foreign>" if isinstance(kind, str) and kind != "custom" else "<client>"


AnyTool = Annotated[
    Annotated[ClientTool, Tag("<client>")] | Annotated[ForeignTool, Tag("<foreign>")],
    Discriminator(_tool_tag),
]
Tools = Annotated[list[AnyTool], Field(max_length=MAX_TOOLS, fail_fast=True)]


class MessagesToolChoice(RequestModel):
    """How tools may be called: as the model likes, any of them, this one, or none."""

    type: Literal["auto", "any", "tool", "none"]
    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _names_a_tool(self) -> MessagesToolChoice:
        if self.type == "tool" and self.name is None:
            raise invalid("missing_required_parameter", "is required", below="name")
        return self
