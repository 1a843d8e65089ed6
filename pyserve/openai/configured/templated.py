"""An engine whose prompts are rendered by the templates of a model's configuration."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from pyserve.engine.calls import Askable, Call, GetInfo, Messages, Render, TokenizeChat
from pyserve.engine.protocol import (
    Engine,
    GenerateRequest,
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


def templated(engine: Engine, profile: PromptProfile) -> Engine:
    """The engine, wrapped if the profile has templates for chats."""
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


class TemplatedEngine(Askable):
    """Implements `Engine` over another one, which stays the caller's to close. Any thread.

    prompter: has templates of chats.
    """

    def __init__(self, engine: Engine, prompter: Prompter) -> None:
        self._engine = engine
        self._prompter = prompter

    def submit(self, request: GenerateRequest) -> TokenStream:
        if request.messages is not None:
            segments = segments_of(self._prompt(request.messages, request.template))
            request = msgspec.structs.replace(
                request, messages=None, template=None, segments=segments
            )
        return self._engine.submit(request)

    def ask(self, call: Call[T]) -> T:
        answer: Any
        match call:
            case Render(messages=messages, options=options):
                answer = str(self._prompt(messages, options))
            case TokenizeChat(messages=messages, options=options):
                segments = segments_of(self._prompt(messages, options))
                answer = self._engine.tokenize_segments(segments)
            case GetInfo():
                info = self._engine.info()
                answer = msgspec.structs.replace(
                    info,
                    has_chat_template=True,
                    chat_template="",
                    tool_template="",
                    hidden_template=info.chat_template,
                )
            case _:
                answer = self._engine.ask(call)
        return cast(T, answer)

    def close(self) -> None:
        self._engine.close()

    def _prompt(self, messages: Messages, options: TemplateOptions | None) -> Marked:
        return self._prompter.chat(messages, () if options is None else options.tools)
