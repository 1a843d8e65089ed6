"""Answers of POST /v1/messages: the whole message, or its stream of events.

message_start, ping, then for each block: content_block_start, its deltas, content_block_stop;
then message_delta, message_stop
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.anthropic.block_writer import BlockWriter, Thoughts
from pyserve.anthropic.conversation import format_constraint, messages_request, schema_param
from pyserve.anthropic.objects import (
    AnsweredMessage,
    BlockDelta,
    ContentBlock,
    DeltaUsage,
    MessageDelta,
    MessageStart,
    MessageStop,
    MessageUsage,
    MoreText,
    Ping,
    Stopped,
    StopReason,
    ThinkingTokens,
)
from pyserve.engine.protocol import Delta, Finish, GenerateRequest, ModelInfo
from pyserve.openai.answer import Output
from pyserve.openai.chat.conversation import Conversation
from pyserve.openai.ids import new_item_id
from pyserve.openai.structured.validation import SchemaViolation
from pyserve.openai.tools.arguments import FIRST_ARGUMENTS, call_violation
from pyserve.schemas.anthropic.messages import MessagesRequest


class MessagesAnswer:
    """Implements `StreamAnswer` for a request of the Messages API.

    stop_sequences: those of the client; the model may have others beside them.
    tokens: the prompt, where it is not made of messages.
    """

    prompt_param = "messages"

    def __init__(
        self,
        body: MessagesRequest,
        model: str,
        info: ModelInfo,
        conversation: Conversation,
        stop_sequences: Sequence[str] = (),
        tokens: list[int] | None = None,
    ) -> None:
        self.grammar_param = schema_param(body) if body.answer_format else "tools"
        self.requests: list[GenerateRequest] = [messages_request(body, info, conversation, tokens)]
        self._id = new_item_id("msg")
        self._model = model
        self._max_tokens = body.max_tokens
        self._n_ctx = min(info.n_ctx, body.context_limit or info.n_ctx)
        self._stop_sequences = stop_sequences
        self._style = conversation.style
        self._thoughts = _told_thoughts(body)
        self._constraint = format_constraint(body)
        self._functions = conversation.calls.functions if conversation.calls else ()
        self.unenforced = (*self._constraint.unenforced, *conversation.unenforced)
        self._writer = self._new_writer()
        self._finish: Finish | None = None

    def response(self, outputs: Sequence[Output]) -> AnsweredMessage:
        (output,) = outputs
        writer = self._new_writer()
        for delta in output.deltas:
            writer.push(delta)
        stopped = self._stopped(writer, output.finish)
        usage = _usage(output.finish, writer)
        return msgspec.structs.replace(
            self._message(MessageUsage(**msgspec.structs.asdict(usage))),
            content=writer.content() if self._max_tokens else [],
            stop_reason=stopped.stop_reason,
            stop_sequence=stopped.stop_sequence,
            schema_violation=stopped.schema_violation,
        )

    def open(self, n_prompt_tokens: int = 0) -> list[msgspec.Struct]:
        """n_prompt_tokens: how many of them were cached is known at the end."""
        usage = MessageUsage(input_tokens=n_prompt_tokens, output_tokens=0)
        start = MessageStart(message=self._message(usage))
        return [start, *(self._writer.begin("text") if self._is_plain else []), Ping()]

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:  # noqa: ARG002
        self._finish = delta.finish or self._finish
        return self._writer.push(delta) if self._max_tokens else []

    def text_chunk(self, index: int, text: str) -> BlockDelta | None:
        if self.unenforced or not self._is_plain:
            return None
        return BlockDelta(index=index, delta=MoreText(text))

    def close(self) -> list[msgspec.Struct]:
        assert self._finish is not None
        stopped = self._stopped(self._writer, self._finish)
        usage = _usage(self._finish, self._writer)
        return [MessageDelta(delta=stopped, usage=usage), MessageStop()]

    @property
    def _is_plain(self) -> bool:
        """Whether the answer is one text, which begins with the stream."""
        return self._style.is_plain and self._max_tokens > 0

    def _new_writer(self) -> BlockWriter:
        return BlockWriter(self._style, self._thoughts)

    def _message(self, usage: MessageUsage) -> AnsweredMessage:
        return AnsweredMessage(
            id=self._id, model=self._model, content=list[ContentBlock](), usage=usage
        )

    def _stopped(self, writer: BlockWriter, finish: Finish) -> Stopped:
        if finish.reason == "stop" and finish.stop_string in self._stop_sequences:
            return Stopped("stop_sequence", finish.stop_string)
        return Stopped(self._reason(writer, finish), None, self._violation(writer, finish))

    def _violation(self, writer: BlockWriter, finish: Finish) -> SchemaViolation | UnsetType:
        """Where a whole answer is not valid, if its grammar did not enforce all."""
        if not self.unenforced or finish.reason != "stop":
            return UNSET
        found = None
        for block in writer.blocks:
            if block.call is not None:
                found = call_violation(self._functions, [(block.call.name, block.text)])
            elif block.kind == "text" and not writer.has_calls:
                found = self._constraint.violation(block.text)
            if found is not None:
                path = found.path.removeprefix("$").removeprefix(FIRST_ARGUMENTS)
                place = "input" if block.call is not None else "text"
                return SchemaViolation(f"$.content[{block.index}].{place}{path}", found.message)
        return UNSET

    def _reason(self, writer: BlockWriter, finish: Finish) -> StopReason:
        if finish.reason == "length":
            n_answer = finish.usage.n_completion_tokens
            is_full = finish.usage.n_prompt_tokens + n_answer >= self._n_ctx
            is_cut = is_full and n_answer < self._max_tokens
            return "model_context_window_exceeded" if is_cut else "max_tokens"
        return "tool_use" if writer.has_calls else "end_turn"


def _told_thoughts(body: MessagesRequest) -> Thoughts:
    if body.include_reasoning is False:
        return "hidden"
    if body.thinking is None:
        return "shown"
    if body.thinking.type == "disabled":
        return "hidden"
    return "omitted" if body.thinking.display == "omitted" else "shown"


def _usage(finish: Finish, writer: BlockWriter) -> DeltaUsage:
    usage = finish.usage
    return DeltaUsage(
        input_tokens=usage.n_prompt_tokens - usage.n_cached_tokens,
        cache_read_input_tokens=usage.n_cached_tokens,
        output_tokens=usage.n_completion_tokens,
        output_tokens_details=ThinkingTokens(writer.n_thinking_tokens),
    )
