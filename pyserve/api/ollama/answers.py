"""POST /api/chat, /api/generate: answers as JSON lines, and loading and unloading."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.ollama import examples
from pyserve.ollama.answer import LineAnswer
from pyserve.ollama.conversation import chat_of, chat_of_prompt, check_thinking, text_of
from pyserve.ollama.errors import OLLAMA
from pyserve.ollama.lines import Clock, LineMaker, OllamaChat, OllamaText
from pyserve.ollama.prompts import own_prompt
from pyserve.openai.chat.chat import chat_conversation, chat_requests
from pyserve.openai.completions.completions import completion_requests
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.document.operation import LINES, Operation
from pyserve.openai.structured.constraint import constraint_of
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.ollama import AnswerFields, OllamaChatRequest, OllamaGenerateRequest
from pyserve.web.answer.generation import generate, generate_stream
from pyserve.web.answer.leasing import ask_engine
from pyserve.web.answer.lines import lines_with
from pyserve.web.answer.target import Target, choose_target
from pyserve.web.answer.truncation import fitting
from pyserve.web.request.body import read_body
from pyserve.web.request.notes import Notes, notes
from pyserve.web.request.replies import json_reply

chats = Endpoint("ollama_chat", tag="Ollama", usecase="chat", errors=OLLAMA, is_below_v1=False)
texts = Endpoint(
    "ollama_generate", tag="Ollama", usecase="completion", errors=OLLAMA, is_below_v1=False
)

STREAMS = "A stream of JSON lines, unless `stream` is false. "


@chats.view(
    Operation(
        name="ollamaChat",
        method="post",
        path="/api/chat",
        summary="Answer a conversation, by Ollama's API",
        details=STREAMS + "Without messages the model is loaded, or unloaded (`keep_alive` 0).",
        request=OllamaChatRequest,
        body=examples.CHAT,
        response=OllamaChat,
        example=lambda: examples.chat().plain(),
        stream_type=LINES,
        event_types=(OllamaChat,),
        events=lambda: examples.chat().streamed(),
    )
)
def chat() -> Response:
    body = read_body(OllamaChatRequest)
    target = choose_target(body)
    maker = LineMaker(body.model, Clock(), is_chat=True)
    if not body.messages:
        return _moved(body, target, maker)
    asked, noted = with_defaults(chat_of(body), target.profile), notes()

    def answer(engine: Engine) -> LineAnswer:
        maker.clock.loaded()
        return _chat_answer(engine, body, asked, target, maker, noted)

    return _answered(body, target, maker, answer)


@texts.view(
    Operation(
        name="ollamaGenerate",
        method="post",
        path="/api/generate",
        summary="Answer a prompt, by Ollama's API",
        details=STREAMS + "Without a prompt the model is loaded, or unloaded (`keep_alive` 0).",
        request=OllamaGenerateRequest,
        body=examples.TEXT,
        response=OllamaText,
        example=lambda: examples.text().plain(),
        stream_type=LINES,
        event_types=(OllamaText,),
        events=lambda: examples.text().streamed(),
    )
)
def create() -> Response:
    body = read_body(OllamaGenerateRequest)
    target = choose_target(body)
    maker = LineMaker(body.model, Clock(), is_chat=False)
    if not body.prompt and not body.suffix:
        return _moved(body, target, maker)
    asked, noted = with_defaults(chat_of_prompt(body), target.profile), notes()

    def answer(engine: Engine) -> LineAnswer:
        maker.clock.loaded()
        prompt = own_prompt(body, engine)
        if prompt is None:
            return _chat_answer(engine, body, asked, target, maker, noted)
        noted.ignored += [name for name in ("think", "truncate") if getattr(body, name)]
        text = with_defaults(text_of(body), target.profile).model_copy(update={"echo": None})
        (request,) = completion_requests(text, engine.info(), [prompt])
        noted.unenforced = constraint_of(text).unenforced
        return LineAnswer(request, maker, prompt_param="prompt", grammar_param="format")

    return _answered(body, target, maker, answer)


def _chat_answer(
    engine: Engine,
    body: AnswerFields,
    asked: ChatRequest,
    target: Target,
    maker: LineMaker,
    noted: Notes,
) -> LineAnswer:
    """The answer to a chat; `asked` is what `body` means."""
    info = engine.info()
    check_thinking(body, info)
    conversation = chat_conversation(engine, asked, target.profile)
    cut = fitting(engine, conversation, asked, noted)
    if cut is not None:
        conversation = msgspec.structs.replace(conversation, messages=cut.messages)
    (request,) = chat_requests(asked.model_copy(update={"n": None}), info, conversation)
    noted.unenforced = (*constraint_of(asked).unenforced, *conversation.unenforced)
    param = "messages" if isinstance(body, OllamaChatRequest) else "prompt"
    return LineAnswer(
        request, maker, conversation.style, prompt_param=param, grammar_param="format"
    )


def _answered(
    body: AnswerFields, target: Target, maker: LineMaker, answer: Callable[[Engine], LineAnswer]
) -> Response:
    if body.stream is False:
        return generate(target, answer)
    return generate_stream(target, answer, lines_with(maker.line()))


def _moved(body: AnswerFields, target: Target, maker: LineMaker) -> Response:
    """Load the model, or let it leave when it is idle; one that is not loaded stays away."""
    leaves = body.keep_alive == 0
    if target.is_ready or not leaves:
        ask_engine(target, lambda _engine: None)
    return json_reply(maker.line(done=True, done_reason="unload" if leaves else "load"))
