"""POST /v1/chat/completions: request to engine requests, deltas to response or chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pyserve.engine.protocol import (
    Delta,
    Engine,
    Finish,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    TokenLogprob,
)
from pyserve.models.profile import PLAIN, ModelProfile
from pyserve.openai.answer import Output, StreamUsage, new_head, token_usage
from pyserve.openai.chat.choice import ChoiceWriter
from pyserve.openai.chat.continuation import continued_stops
from pyserve.openai.chat.conversation import (
    Conversation,
    conversation,
    custom_names,
    offer_of,
    without_head,
)
from pyserve.openai.chat.objects import (
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    Truncation,
)
from pyserve.openai.chat.truncation import Cut
from pyserve.openai.logprobs import (
    ChatLogprobs,
    PromptLogprobs,
    chat_logprobs,
    n_ranked,
    prompt_logprobs,
)
from pyserve.openai.reports import (
    PromptProgress,
    answer_timings,
    reporting,
    tells_more,
    timings_after,
    told_tokens,
)
from pyserve.openai.sampling import base_request, expand, scored_once
from pyserve.openai.scheduling import scheduling
from pyserve.openai.structured.constraint import constraint_of, grammar_param
from pyserve.openai.structured.validation import SchemaViolation
from pyserve.openai.tools.arguments import call_violation
from pyserve.openai.tools.grammar import answer_grammar
from pyserve.schemas.chat import ChatRequest, CustomToolCall, Message, ToolCall
from pyserve.schemas.fields.content import as_content

TEMPLATE_ROLES = {"developer": "system", "function": "tool"}


class ChatAnswer:
    """Implements `StreamAnswer` for a chat request.

    conversation: as shortened by `cut`; None: the messages alone. tokens: the prompt, if
    it is not made of messages. before: the ends of requests that this one needed.
    """

    prompt_param = "messages"

    def __init__(
        self,
        body: ChatRequest,
        model: str,
        info: ModelInfo,
        conversation: Conversation | None = None,
        cut: Cut | None = None,
        tokens: list[int] | None = None,
        before: Sequence[Finish] = (),
    ) -> None:
        self._before = before
        self.grammar_param = grammar_param(body)
        self._body = body
        self._constraint = constraint_of(body)
        self._n = body.n or 1
        self._head = msgspec.structs.asdict(new_head("chatcmpl", model, info))
        self._chunk_head = {**self._head, "service_tier": body.tier if body.service_tier else UNSET}
        self._usage = StreamUsage(body, self._n, self._n, before)
        self._conversation = conversation or Conversation(template_messages(body))
        self.requests = chat_requests(body, info, self._conversation, tokens)
        self.unenforced = (*self._constraint.unenforced, *self._conversation.unenforced)
        self._writers = self._new_writers()
        self._held_logprobs: list[list[TokenLogprob]] = [[] for _ in self._writers]
        self._held_tokens: list[list[int]] = [[] for _ in self._writers]
        self._prompt_tokens = UNSET if tokens is None or not body.return_token_ids else tokens
        self._truncation = (
            UNSET if cut is None else Truncation(cut.dropped_messages, cut.dropped_tokens)
        )

    def response(self, outputs: Sequence[Output]) -> ChatCompletion:
        writers = self._new_writers()
        choices = []
        for index, (writer, output) in enumerate(zip(writers, outputs, strict=True)):
            for delta in output.deltas:
                writer.push(delta)
            logprobs = self._logprobs(output.logprobs)
            reason = writer.finish_reason(output.finish.reason)
            violation = self._violation(writer, output.finish.reason)
            reasons = (reason, output.finish.stop_reason)
            message = writer.message()
            if echoed := self._body.echoed:
                text = echoed + (message.content or "")
                message = msgspec.structs.replace(message, content=text)
            choice = ChatChoice(index, message, logprobs, *reasons, violation)
            told = told_tokens(self._body, output.tokens)
            choices.append(msgspec.structs.replace(choice, **told))
        n_reasoning_tokens = sum(writer.n_reasoning_tokens for writer in writers)
        finishes = [output.finish for output in outputs]
        usage = token_usage(finishes, self._n, n_reasoning_tokens, self._before)
        return ChatCompletion(
            **self._head,
            choices=choices,
            usage=usage,
            service_tier=self._body.tier,
            metadata=self._body.metadata or UNSET,
            truncation=self._truncation,
            timings=answer_timings(finishes) if self._body.wants_timings else UNSET,
            prompt_token_ids=self._prompt_tokens,
            prompt_logprobs=self._prompt_logprobs(outputs),
        )

    def open(self, n_prompt_tokens: int = 0) -> list[msgspec.Struct]:
        self._usage.open(n_prompt_tokens)
        calls = self._conversation.calls
        content = self._body.echoed or (None if calls and calls.is_required else "")
        first = ChatDelta(role="assistant", content=content)
        chunks = [self._chunk(ChatChunkChoice(index, first)) for index in range(self._n)]
        chunks[0] = msgspec.structs.replace(chunks[0], prompt_token_ids=self._prompt_tokens)
        return list(chunks)

    def push(self, index: int, delta: Delta) -> list[msgspec.Struct]:
        self._usage.push(index, delta)
        writer, held = self._writers[index], self._held_logprobs[index]
        held += delta.logprobs or []
        self._held_tokens[index] += delta.tokens
        deltas = writer.push(delta)
        is_plain = self._conversation.style.is_plain
        if held and not deltas and (delta.finish is not None or is_plain):
            deltas = [ChatDelta(content="")]
        choices = [ChatChunkChoice(index, added) for added in deltas]
        if choices and self._body.logprobs:
            logprobs = self._logprobs(held)
            choices[0] = msgspec.structs.replace(choices[0], logprobs=logprobs)
            self._held_logprobs[index] = []
        if delta.finish is not None:
            reason = writer.finish_reason(delta.finish.reason)
            violation = self._violation(writer, delta.finish.reason)
            reasons = (reason, delta.finish.stop_reason)
            choices.append(ChatChunkChoice(index, ChatDelta(), None, *reasons, violation))
        if choices and (told := told_tokens(self._body, self._held_tokens[index])):
            choices[0] = msgspec.structs.replace(choices[0], **told)
            self._held_tokens[index] = []
        chunks = [self._chunk(choice) for choice in choices]
        usage = self._usage
        timings = timings_after(delta, self._body, usage.finishes, is_last=usage.is_complete)
        if chunks and timings is not None:
            chunks[-1] = msgspec.structs.replace(chunks[-1], timings=timings)
        return list(chunks)

    def progress(self, progress: PromptProgress) -> list[msgspec.Struct]:
        """What is said of the prompts before all output."""
        chunk = self._chunk(ChatChunkChoice(0, ChatDelta()))
        return [msgspec.structs.replace(chunk, prompt_progress=progress)]

    def text_chunk(self, index: int, text: str) -> ChatChunk | None:
        is_more = bool(self._body.logprobs or self.unenforced) or tells_more(self._body)
        is_more = is_more or self._body.has_running_usage
        if is_more or not self._conversation.style.is_plain:
            return None
        return self._chunk(ChatChunkChoice(index, ChatDelta(content=text)))

    def close(self) -> list[msgspec.Struct]:
        usage = self._usage.at_end(self._n_reasoning_tokens)
        if usage is None:
            return []
        wants_timings = self._body.wants_timings
        timings = answer_timings(self._usage.finishes) if wants_timings else UNSET
        return [ChatChunk(**self._chunk_head, choices=[], usage=usage, timings=timings)]

    def _new_writers(self) -> list[ChoiceWriter]:
        return [
            ChoiceWriter(
                self._conversation.style,
                is_legacy=bool(self._body.functions),
                custom_names=frozenset(custom_names(self._body)),
                shows_reasoning=self._body.include_reasoning is not False,
            )
            for _ in range(self._n)
        ]

    def _violation(self, writer: ChoiceWriter, reason: FinishReason) -> SchemaViolation | UnsetType:
        """Where a whole answer is not valid, if its grammar did not enforce all."""
        if not self.unenforced or reason != "stop":
            return UNSET
        calls = self._conversation.calls
        found = None
        if writer.calls and calls is not None:
            found = call_violation(calls.functions, writer.calls)
        elif not writer.calls:
            found = self._constraint.violation(writer.text)
        return UNSET if found is None else found

    def _chunk(self, choice: ChatChunkChoice) -> ChatChunk:
        usage = self._usage.before_end(self._n_reasoning_tokens)
        return ChatChunk(**self._chunk_head, choices=[choice], usage=usage)

    @property
    def _n_reasoning_tokens(self) -> int:
        """Of all choices of a stream, up to here."""
        return sum(writer.n_reasoning_tokens for writer in self._writers)

    def _prompt_logprobs(self, outputs: Sequence[Output]) -> PromptLogprobs | UnsetType:
        n_top = self._body.prompt_logprobs
        return UNSET if n_top is None else prompt_logprobs(outputs[0].prompt_logprobs, n_top)

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> ChatLogprobs | None:
        has_ids = bool(self._body.return_tokens_as_token_ids)
        return chat_logprobs(tokens, has_ids=has_ids) if self._body.logprobs else None


def chat_conversation(
    engine: Engine,
    body: ChatRequest,
    profile: ModelProfile = PLAIN,
    messages: list[dict[str, Any]] | None = None,
) -> Conversation:
    """The conversation of a chat request with the model behind `engine`.

    messages: in place of its own.
    """
    made = conversation(
        engine,
        template_messages(body) if messages is None else messages,
        offer_of(body),
        body,
        profile,
        is_continued=bool(body.continue_final_message),
        documents=body.shown_documents,
    )
    has_head = body.add_generation_prompt is not False or body.continue_final_message
    return made if has_head else without_head(made)


def chat_requests(
    body: ChatRequest,
    info: ModelInfo,
    conversation: Conversation | None = None,
    tokens: list[int] | None = None,
) -> list[GenerateRequest]:
    """The n engine requests of a chat request; `conversation` and `tokens` as of `ChatAnswer`.

    Raises InvalidRequestError for a logit_bias on a token that the model does not have, and for a
    constraint that cannot be enforced.
    """
    conversation = conversation or Conversation(template_messages(body))
    request = base_request(
        body,
        info,
        **scheduling(body),
        **reporting(body, is_streamed=bool(body.stream), has_counts=body.has_running_usage),
        grammar=answer_grammar(
            conversation.thinking,
            conversation.calls,
            constraint_of(body).grammar,
            conversation.around,
        ),
        messages=conversation.messages if tokens is None else None,
        template=conversation.options if tokens is None else None,
        thinking=conversation.thinking_limit,
        tokens=tokens,
        draft=body.predicted,
        max_tokens=body.n_max_tokens,
        n_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        n_prompt_logprobs=n_ranked(body.prompt_logprobs),
    )
    stop = [*request.stop, *conversation.stops]
    if tokens is not None:
        stop += continued_stops(info)
    request = msgspec.structs.replace(request, stop=stop)
    return scored_once(expand(request, body.n or 1))


def template_messages(body: ChatRequest) -> list[dict[str, Any]]:
    """The conversation as chat templates know it."""
    return [template_message(message) for message in body.messages]


def template_message(message: Message) -> dict[str, Any]:
    """The message as chat templates know it: plain text, role `system` for `developer`."""
    role = TEMPLATE_ROLES.get(message.role, message.role)
    plain: dict[str, Any] = {"role": role, **as_content(message.texts)}
    if message.name is not None:
        plain["name"] = message.name
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    if message.reasoning_text:
        plain["reasoning_content"] = message.reasoning_text
    calls = [_template_call(call) for call in message.tool_calls or []]
    if message.function_call is not None:
        calls.append({"type": "function", "function": message.function_call.model_dump()})
    if calls:
        plain["tool_calls"] = calls
    return plain


def _template_call(call: ToolCall | CustomToolCall) -> dict[str, Any]:
    plain: dict[str, Any] = {"type": "function", "function": call.function.model_dump()}
    return plain if call.id is None else {"id": call.id, **plain}
