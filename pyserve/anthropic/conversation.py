"""Requests of the Messages API → conversations and engine requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pyserve.anthropic.signature import thoughts_in
from pyserve.engine.protocol import Engine, GenerateRequest, ModelInfo
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.chat.continuation import continued_stops, continued_tokens
from pyserve.openai.chat.conversation import Conversation, Offer, conversation
from pyserve.openai.sampling import base_request
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import FREE, Constraint, schema_constraint
from pyserve.openai.tools.foreign import unsupported_tool
from pyserve.openai.tools.grammar import answer_grammar
from pyserve.schemas.anthropic.blocks import (
    AnyBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    texts_of,
)
from pyserve.schemas.anthropic.messages import ConversationFields, MessagesRequest
from pyserve.schemas.fields.content import PART_END, as_content

Turn = dict[str, Any]

ERROR = "Error: "
# The first lines that Claude Code puts before its system prompt. They differ from request to
# request, and are for the billing of Anthropic's service, not for the model.
_BILLING = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n*")
_MODES = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}


def messages_conversation(
    engine: Engine, body: ConversationFields, profile: ModelProfile = PLAIN
) -> Conversation:
    """The conversation of a request with the model behind `engine`."""
    return conversation(
        engine,
        template_messages(body),
        _offer(body),
        body.reasoning,
        profile,
        is_continued=body.is_continued,
    )


def begun_tokens(
    engine: Engine, body: ConversationFields, conversation: Conversation
) -> list[int] | None:
    """The prompt of a request whose last message is the begin of the answer; None of others."""
    if not body.is_continued:
        return None
    return continued_tokens(
        engine, conversation.messages, conversation.options, conversation.text_begin
    )


def count_tokens(engine: Engine, body: ConversationFields, profile: ModelProfile = PLAIN) -> int:
    """The tokens of the prompt, which may exceed the context."""
    conversation = messages_conversation(engine, body, profile)
    tokens = begun_tokens(engine, body, conversation)
    if tokens is None:
        tokens = engine.tokenize_chat(conversation.messages, conversation.options)
    return len(tokens)


def messages_request(
    body: MessagesRequest,
    info: ModelInfo,
    conversation: Conversation,
    tokens: list[int] | None = None,
) -> GenerateRequest:
    """The engine request. tokens: the prompt, where it is not made of messages.

    Raises InvalidRequestError for a logit_bias on a token that the model does not have, and for a
    schema that cannot be enforced.
    """
    constraint = format_constraint(body).grammar
    request = base_request(
        body,
        info,
        **scheduling(body),
        grammar=answer_grammar(
            conversation.thinking, conversation.calls, constraint, conversation.around
        ),
        messages=conversation.messages if tokens is None else None,
        template=conversation.options if tokens is None else None,
        thinking=conversation.thinking_limit,
        tokens=tokens,
        max_tokens=body.max_tokens,
    )
    stop = [*request.stop, *conversation.stops]
    if tokens is not None:
        stop += continued_stops(info)
    return msgspec.structs.replace(request, stop=stop)


def template_messages(body: ConversationFields) -> list[Turn]:
    """The conversation as chat templates know it; `system` is its first message."""
    turns: list[Turn] = []
    system = [*filter(None, (_BILLING.sub("", text) for text in texts_of(body.system or "")))]
    if system:
        turns.append({"role": "system", **as_content(system)})
    for role, blocks in _joined_turns(body):
        if role == "user":
            turns += _user_turns(blocks)
        elif role == "assistant":
            turns.append(_answer(blocks))
        else:
            turns.append({"role": role, **as_content(texts_of(blocks))})
    return turns


def _joined_turns(body: ConversationFields) -> Iterator[tuple[str, Sequence[AnyBlock]]]:
    """Roles and blocks; messages of one role that follow each other are one turn."""
    role, blocks = "", list[AnyBlock]()
    for message in body.messages:
        if message.role != role:
            if role and blocks:
                yield role, blocks
            role, blocks = message.role, []
        blocks += message.blocks
    if role and (blocks or role == "user"):
        yield role, blocks


def _user_turns(blocks: Sequence[AnyBlock]) -> list[Turn]:
    """The results of calls, which follow the calls at once, and the text."""
    results = [block for block in blocks if isinstance(block, ToolResultBlock)]
    turns = [
        {"role": "tool", "content": _result(block), "tool_call_id": block.tool_use_id}
        for block in results
    ]
    texts = texts_of(blocks)
    if texts or not turns:
        turns.append({"role": "user", **as_content(texts)})
    return turns


def _result(block: ToolResultBlock) -> str:
    """Templates know no results that are errors: the text says it."""
    text = PART_END.join(texts_of(block.content or ""))
    return f"{ERROR}{text}" if block.is_error and not text.startswith(ERROR) else text


def _answer(blocks: Sequence[AnyBlock]) -> Turn:
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    turn: Turn = {"role": "assistant", "content": text}
    thoughts = [
        thoughts_in(block.thinking, block.signature or "")
        for block in blocks
        if isinstance(block, ThinkingBlock)
    ]
    if any(thoughts):
        turn["reasoning_content"] = PART_END.join(filter(None, thoughts))
    calls = [
        {
            "id": block.id,
            "type": "function",
            "function": {"name": block.name, "arguments": block.arguments},
        }
        for block in blocks
        if isinstance(block, ToolUseBlock)
    ]
    if calls:
        turn["tool_calls"] = calls
    return turn


def format_constraint(body: MessagesRequest) -> Constraint:
    """What the format of the answer says. Raises InvalidSchemaError."""
    wanted = body.answer_format
    return FREE if wanted is None else schema_constraint(wanted.schema_, schema_param(body))


def schema_param(body: MessagesRequest) -> str:
    """Where the schema of the answer stands, if there is one."""
    return f"{body.format_param}.schema"


def left_out_tools(body: ConversationFields, *, is_strict: bool) -> list[str]:
    """The types of the tools that are not offered.

    is_strict: there must be none. Raises UnsupportedToolError.
    """
    for place, tool in body.foreign_tools.items():
        if is_strict:
            raise unsupported_tool(place, tool.type)
    return list(dict.fromkeys(tool.type for tool in body.foreign_tools.values()))


def _offer(body: ConversationFields) -> Offer:
    """The tools that are offered, and how they may be called."""
    choice = body.tool_choice
    functions = body.client_tools
    offer = Offer(list(functions.values()), list(functions), "input_schema")
    if choice is None:
        return offer
    is_single = choice.disable_parallel_tool_use
    return msgspec.structs.replace(
        offer,
        mode=_MODES[choice.type],
        allowed=None if choice.name is None else frozenset([choice.name]),
        can_repeat=None if is_single is None else not is_single,
    )
