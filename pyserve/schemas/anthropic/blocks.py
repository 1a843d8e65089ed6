"""Turns of Anthropic's Messages API: a text, or a list of content blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from pyserve.schemas.common import RequestModel, invalid
from pyserve.schemas.fields.content import PART_END
from pyserve.schemas.unsupported import ANY, FieldTable

MAX_BLOCKS = 1024
# Of the services around Claude: nothing here is cached, cited or called differently for them.
BLOCK = FieldTable(
    {},
    {"cache_control": (ANY,), "caller": (ANY,), "citations": (ANY,), "toolset_name": ()},
)
# Blocks of tools that others ran, and thoughts that only others can read. They are left out.
FOREIGN_BLOCKS = (
    "redacted_thinking",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "mcp_tool_use",
    "mcp_tool_result",
    "container_upload",
)
CallId = Annotated[str, Field(min_length=1, max_length=256)]


class Block(RequestModel):
    """A part of a turn. text: what it adds to the prompt."""

    foreign: ClassVar[FieldTable] = BLOCK


class TextBlock(Block):
    """Text."""

    type: Literal["text"]
    text: str

    @property
    def shown(self) -> str:
        return self.text


class ThinkingBlock(Block):
    """Thoughts of an earlier answer, and the signature that came with them."""

    type: Literal["thinking"]
    thinking: str
    signature: str | None = None

    @property
    def shown(self) -> str:
        return self.thinking + (self.signature or "")


class ToolUseBlock(Block):
    """A call of an earlier answer."""

    type: Literal["tool_use"]
    id: CallId
    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: dict[str, Any]

    @property
    def arguments(self) -> str:
        return json.dumps(self.input, ensure_ascii=False)

    @property
    def shown(self) -> str:
        return self.name + self.arguments


class ForeignBlock(Block):
    """A block without a meaning here."""

    foreign: ClassVar[FieldTable] = FieldTable(
        {},
        {
            **BLOCK.named,
            **dict.fromkeys(("content", "data", "file_id", "id", "input", "is_error"), (ANY,)),
            **dict.fromkeys(("name", "server_name", "tool_use_id"), (ANY,)),
        },
    )

    type: Literal[FOREIGN_BLOCKS]  # type: ignore[valid-type]

    @property
    def shown(self) -> str:
        return ""


def _tag(kinds: Iterable[str], what: str = "blocks") -> Any:
    """The discriminator of a union of blocks with these types, each the tag of its class."""
    known = frozenset(kinds)

    def tag(block: object) -> str | None:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind in FOREIGN_BLOCKS and "foreign" in known:
            return "<foreign>"
        return f"<{kind}>" if isinstance(kind, str) and kind in known else None

    shown = ", ".join(sorted(known - {"foreign"}))
    return Discriminator(
        tag,
        custom_error_type="unsupported_content",
        custom_error_message=f"is not supported: there are only {what} of type {shown}",
    )


def _content_tag(content: object) -> str | None:
    if isinstance(content, str):
        return "<string>"
    return "<blocks>" if isinstance(content, list) else None


_CONTENT = Discriminator(
    _content_tag,
    custom_error_type="invalid_type",
    custom_error_message="must be a string or a list of content blocks",
)
_MANY = Field(max_length=MAX_BLOCKS, fail_fast=True)
TextOnly = Annotated[Annotated[TextBlock, Tag("<text>")], _tag(("text",))]
TextContent = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[TextOnly], _MANY, Tag("<blocks>")], _CONTENT
]


class PlainSource(Block):
    """The text of a document."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str

    @property
    def text(self) -> str:
        return self.data


class BlocksSource(Block):
    """The text of a document, maybe in blocks."""

    type: Literal["content"]
    content: TextContent

    @property
    def text(self) -> str:
        return PART_END.join(texts_of(self.content))


# Answers cite nothing, which is told where they are to.
CITED = FieldTable({}, {**BLOCK.named, "citations": ({}, {"enabled": False})})


class DocumentBlock(Block):
    """A document as text, with what is said of it."""

    foreign: ClassVar[FieldTable] = CITED

    type: Literal["document"]
    source: Annotated[
        Annotated[PlainSource, Tag("<text>")] | Annotated[BlocksSource, Tag("<content>")],
        _tag(("text", "content"), "sources"),
    ]
    title: str | None = None
    context: str | None = None

    @property
    def text(self) -> str:
        about = {"title": self.title, "context": self.context}
        return _framed("document", about, self.source.text)

    @property
    def shown(self) -> str:
        return self.text


class SearchResultBlock(Block):
    """What a search has found. source: where."""

    foreign: ClassVar[FieldTable] = CITED

    type: Literal["search_result"]
    source: str
    title: str
    content: Annotated[list[TextOnly], Field(min_length=1, max_length=MAX_BLOCKS, fail_fast=True)]

    @property
    def text(self) -> str:
        about = {"source": self.source, "title": self.title}
        return _framed("search_result", about, PART_END.join(texts_of(self.content)))

    @property
    def shown(self) -> str:
        return self.text


def _framed(kind: str, about: Mapping[str, str | None], text: str) -> str:
    """What the model reads: tags on lines of their own around the text, one for each thing said."""
    said = [f"<{name}>{value}</{name}>" for name, value in about.items() if value]
    return "\n".join([f"<{kind}>", *said, "<content>", text, "</content>", f"</{kind}>"])


_READABLE = ("text", "document", "search_result")
ResultPart = Annotated[
    Annotated[TextBlock, Tag("<text>")]
    | Annotated[DocumentBlock, Tag("<document>")]
    | Annotated[SearchResultBlock, Tag("<search_result>")],
    _tag(_READABLE),
]
ResultContent = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[ResultPart], _MANY, Tag("<blocks>")], _CONTENT
]


class ToolResultBlock(Block):
    """The result of a call, or with is_error why there is none."""

    type: Literal["tool_result"]
    tool_use_id: CallId
    content: ResultContent | None = None
    is_error: bool | None = None

    @property
    def shown(self) -> str:
        return PART_END.join(texts_of(self.content or ""))


AnyBlock = (
    TextBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | ForeignBlock
)
ContentBlock = Annotated[
    Annotated[TextBlock, Tag("<text>")]
    | Annotated[DocumentBlock, Tag("<document>")]
    | Annotated[SearchResultBlock, Tag("<search_result>")]
    | Annotated[ThinkingBlock, Tag("<thinking>")]
    | Annotated[ToolUseBlock, Tag("<tool_use>")]
    | Annotated[ToolResultBlock, Tag("<tool_result>")]
    | Annotated[ForeignBlock, Tag("<foreign>")],
    _tag((*_READABLE, "thinking", "tool_use", "tool_result", "foreign")),
]
Content = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[ContentBlock], _MANY, Tag("<blocks>")],
    _CONTENT,
]
# Which blocks a turn may have, by its role.
_OF_ROLE: dict[str, tuple[type[Block], ...]] = {
    "user": (TextBlock, DocumentBlock, SearchResultBlock, ToolResultBlock, ForeignBlock),
    "assistant": (TextBlock, ThinkingBlock, ToolUseBlock, ForeignBlock),
    "system": (TextBlock,),
}


def texts_of(content: str | Sequence[Block]) -> list[str]:
    """The texts of a content, of which blocks of other types are no part."""
    if isinstance(content, str):
        return [content] if content else []
    kinds = (TextBlock, DocumentBlock, SearchResultBlock)
    return [block.text for block in content if isinstance(block, kinds) and block.text]


class TurnMessage(RequestModel):
    """One turn, or a part of it: turns of one role that follow each other are one."""

    role: Literal["user", "assistant", "system"]
    content: Content

    @model_validator(mode="after")
    def _has_blocks_of_its_role(self) -> TurnMessage:
        allowed = _OF_ROLE[self.role]
        for i, block in enumerate(self.blocks):
            if not isinstance(block, allowed):
                message = f"is a block that turns of the {self.role} do not have"
                raise invalid("invalid_value", message, below=f"content.{i}")
        return self

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """The content as blocks."""
        if isinstance(self.content, str):
            return [TextBlock(type="text", text=self.content)] if self.content else []
        return self.content

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of everything that becomes a part of the prompt."""
        return sum(len(block.shown.encode()) for block in self.blocks)


def check_calls(messages: Sequence[TurnMessage]) -> None:
    """Refuse a call without a result in the turn after it, and a result without such a call.

    Source: Anthropic's "Handle tool calls"; chat templates count on it as well.
    """
    waiting: dict[str, str] = {}  # ids of calls without a result, to their paths
    role = ""
    for i, message in enumerate(messages):
        if message.role == "assistant" and role != "assistant":
            _check_answered(waiting)
        role = role if message.role == "system" else message.role
        for path, block in _numbered(message, i):
            if isinstance(block, ToolUseBlock):
                waiting[block.id] = path
            elif isinstance(block, ToolResultBlock):
                _check_called(block, waiting, path)
    _check_answered(waiting)


def _numbered(message: TurnMessage, i: int) -> Iterator[tuple[str, AnyBlock]]:
    for j, block in enumerate(message.blocks):
        yield f"messages.{i}.content.{j}", block


def _check_called(result: ToolResultBlock, waiting: dict[str, str], path: str) -> None:
    if waiting.pop(result.tool_use_id, None) is None:
        message = "is the id of no call in the turn before it that waits for its result"
        raise invalid("invalid_value", message, f"{path}.tool_use_id")


def _check_answered(waiting: dict[str, str]) -> None:
    for path in waiting.values():
        raise invalid("invalid_value", "is a call without a tool_result in the turn after it", path)
