"""Engines whose prompts other templates make than the model file's: configured or a client's."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar, cast

import msgspec

from pyserve.engine.calls import Askable, Call, GetInfo, Messages, Render, TokenizeChat
from pyserve.engine.protocol import (
    Engine,
    GenerateRequest,
    ModelInfo,
    Segment,
    TemplateOptions,
    TokenStream,
)
from pyserve.models.profile import PromptProfile
from pyserve.models.templates.go.marked import Marked
from pyserve.models.templates.prompter import Prompter
from pyserve.schemas.completions import CompletionRequest

T = TypeVar("T")
Body = TypeVar("Body", bound=CompletionRequest)


def templated(engine: Engine, profile: PromptProfile, source: str = "") -> Engine:
    """The engine, wrapped if a client has a template for its chat, or the profile one for all."""
    if source:
        return SourcedEngine(engine, source)
    return TemplatedEngine(engine, Prompter(profile)) if profile.has_chat else engine


def segments_of(prompt: Marked) -> list[Segment]:
    """The prompt as segments for the engine."""
    return [Segment(text, is_input) for text, is_input in prompt.runs]


def templated_completion(body: Body, profile: PromptProfile) -> Body:
    """The request with the model's template applied to its texts; token ids are kept.

    Raises TemplateError.
    """
    if profile.completion is None or body.suffix:
        return body
    prompter = Prompter(profile)
    prompts = [
        prompter.completion(prompt) if isinstance(prompt, str) else prompt
        for prompt in body.prompts
    ]
    return body.model_copy(update={"prompt": prompts})


class SegmentedEngine(Askable):
    """Implements `Engine` over another one, which stays the caller's to close. Any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @abstractmethod
    def _segments(self, messages: Messages, options: TemplateOptions | None) -> list[Segment]:
        """The prompt of a conversation."""

    @abstractmethod
    def _shown(self, info: ModelInfo) -> ModelInfo:
        """The facts with the templates in use."""

    def submit(self, request: GenerateRequest) -> TokenStream:
        if request.messages is not None:
            segments = self._segments(request.messages, request.template)
            request = msgspec.structs.replace(
                request, messages=None, template=None, segments=segments
            )
        return self._engine.submit(request)

    def ask(self, call: Call[T]) -> T:
        answer: Any
        match call:
            case Render(messages=messages, options=options):
                answer = "".join(segment.text for segment in self._segments(messages, options))
            case TokenizeChat(messages=messages, options=options):
                answer = self._engine.tokenize_segments(self._segments(messages, options))
            case GetInfo():
                answer = self._shown(self._engine.info())
            case _:
                answer = self._engine.ask(call)
        return cast(T, answer)

    def close(self) -> None:
        self._engine.close()


class TemplatedEngine(SegmentedEngine):
    """One with the templates of a model's configuration. prompter: has templates of chats."""

    def __init__(self, engine: Engine, prompter: Prompter) -> None:
        super().__init__(engine)
        self._prompter = prompter

    def _segments(self, messages: Messages, options: TemplateOptions | None) -> list[Segment]:
        tools = () if options is None else options.tools
        return segments_of(self._prompter.chat(messages, tools))

    def _shown(self, info: ModelInfo) -> ModelInfo:
        return _with_source(info, "", hidden_template=info.chat_template)


class SourcedEngine(SegmentedEngine):
    """One with a client's Jinja template, which its process runs apart."""

    def __init__(self, engine: Engine, source: str) -> None:
        super().__init__(engine)
        self._source = source

    def _segments(self, messages: Messages, options: TemplateOptions | None) -> list[Segment]:
        return self._engine.render_source(self._source, messages, options)

    def _shown(self, info: ModelInfo) -> ModelInfo:
        return _with_source(info, self._source)


def _with_source(info: ModelInfo, source: str, *, hidden_template: str = "") -> ModelInfo:
    return msgspec.structs.replace(
        info,
        has_chat_template=True,
        chat_template=source,
        tool_template="",
        rag_template="",
        hidden_template=hidden_template,
    )
