"""POST /tokenize, /detokenize, /apply-template, input_tokens endpoints; GET /tokenizer_info."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from pyserve.api.endpoint import Endpoint
from pyserve.engine.protocol import Engine
from pyserve.openai.chat.chat import chat_conversation
from pyserve.openai.chat.continuation import continued_text
from pyserve.openai.chat.prompt_tokens import prompt_tokens
from pyserve.openai.configured.defaults import with_defaults
from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.responses.offer import tool_offer
from pyserve.openai.responses.responses import response_conversation
from pyserve.openai.sampling import check_tokens
from pyserve.openai.server.tokens import (
    Detokenized,
    InputTokens,
    Rendered,
    RenderedTokens,
    ResponseInputTokens,
    Tokenized,
    TokenizerInfo,
    tokenize_parts,
    tokenized,
    tokenizer_info,
)
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.tokens import DetokenizeRequest, TokenizeChatRequest, TokenizeRequest
from pyserve.web.answer.leasing import LOOK_QUERY, ask_engine, look_at_engine
from pyserve.web.answer.target import Target, choose_target
from pyserve.web.request.body import read_body, read_chosen
from pyserve.web.request.replies import json_reply
from pyserve.web.request.services import services
from pyserve.web.stored.recall import recall

endpoint = Endpoint("tokens", tag="Tokens")

PROMPT = (
    "<|im_start|>system\nAnswer in one short sentence.<|im_end|>\n"
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@endpoint.view(
    Operation(
        name="tokenize",
        method="post",
        path="/tokenize",
        summary="Tokenize a text, or the prompt of a conversation",
        details="A text in `content` or `prompt`, or a chat's body with `messages` and `tools`.",
        request=TokenizeRequest,
        other_requests=(TokenizeChatRequest,),
        body={"content": "Hello world"},
        response=Tokenized,
        example=lambda: Tokenized([19556, 905]),
        asks_model=True,
    )
)
def tokenize() -> Response:
    body = read_chosen(_shape_of)
    if isinstance(body, TokenizeChatRequest):
        return _tokenize_chat(body)
    target = choose_target(body)

    def answer(engine: Engine) -> Tokenized:
        tokens = tokenize_parts(
            engine,
            body.parts,
            add_special=body.is_special_added,
            parse_special=body.parse_special is not False,
        )
        return tokenized(
            engine,
            tokens,
            is_counted=body.prompt is not None,
            has_pieces=body.with_pieces,
            has_strings=body.return_token_strs,
        )

    return json_reply(ask_engine(target, answer))


def _shape_of(
    data: Mapping[str, Any],
) -> type[TokenizeRequest] | type[TokenizeChatRequest]:
    return TokenizeRequest if data.get("messages") is None else TokenizeChatRequest


def _tokenize_chat(body: TokenizeChatRequest) -> Response:
    target = choose_target(body)

    def answer(engine: Engine) -> Tokenized:
        return tokenized(
            engine,
            _chat_tokens(engine, body, target),
            is_counted=True,
            has_pieces=body.with_pieces,
            has_strings=body.return_token_strs,
        )

    return json_reply(ask_engine(target, answer))


def _chat_tokens(engine: Engine, body: ChatRequest, target: Target) -> Sequence[int]:
    """The tokens of a chat's prompt."""
    body = with_defaults(body, target.profile)
    conversation = chat_conversation(engine, body, target.profile)
    return prompt_tokens(engine, body, conversation)


@endpoint.view(
    Operation(
        name="detokenize",
        method="post",
        path="/detokenize",
        summary="Decode tokens to text",
        request=DetokenizeRequest,
        body={"tokens": [19556, 905]},
        response=Detokenized,
        example=lambda: Detokenized("Hello world", "Hello world"),
        asks_model=True,
    )
)
def detokenize() -> Response:
    body = read_body(DetokenizeRequest)
    target = choose_target(body)

    def answer(engine: Engine) -> Detokenized:
        check_tokens(body.tokens, engine.info(), "tokens")
        text = engine.detokenize(body.tokens)
        return Detokenized(content=text, prompt=text)

    return json_reply(ask_engine(target, answer))


@endpoint.view(
    Operation(
        name="tokenizerInfo",
        method="get",
        path="/tokenizer_info",
        summary="The special tokens and the chat template of a model",
        details="The same as in vLLM.",
        query=LOOK_QUERY,
        response=TokenizerInfo,
        example=lambda: tokenizer_info(examples.INFO),
        asks_model=True,
    )
)
def get_tokenizer_info() -> Response:
    info = look_at_engine(choose_target(), lambda engine: engine.info())
    return json_reply(tokenizer_info(info))


@endpoint.view(
    Operation(
        name="applyTemplate",
        method="post",
        path="/apply-template",
        summary="Render the prompt of a conversation",
        details="Takes the body of chat completions; only fields that change the prompt matter.",
        request=ChatRequest,
        body=examples.CHAT,
        response=Rendered,
        example=lambda: Rendered(PROMPT),
        asks_model=True,
    )
)
def apply_template() -> Response:
    """The prompt of a chat request; its sampling fields are checked and not used."""
    body = read_body(ChatRequest)
    target = choose_target(body)
    body = with_defaults(body, target.profile)

    def answer(engine: Engine) -> Rendered:
        conversation = chat_conversation(engine, body, target.profile)
        if body.continue_final_message:
            return Rendered(
                continued_text(
                    engine, conversation.messages, conversation.options, conversation.text_begin
                )
            )
        return Rendered(engine.render(conversation.messages, conversation.options))

    return json_reply(ask_engine(target, answer))


@endpoint.view(
    Operation(
        name="renderChatCompletion",
        method="post",
        path="/chat/completions/render",
        summary="The tokens of a conversation's prompt, without an answer",
        details="Takes the body of chat completions; routers that cache by prefixes ask for them.",
        request=ChatRequest,
        body=examples.CHAT,
        response=RenderedTokens,
        example=lambda: RenderedTokens([19556, 905]),
        asks_model=True,
    )
)
def render_chat() -> Response:
    body = read_body(ChatRequest)
    target = choose_target(body)

    def answer(engine: Engine) -> RenderedTokens:
        return RenderedTokens(_chat_tokens(engine, body, target))

    return json_reply(ask_engine(target, answer))


@endpoint.view(
    Operation(
        name="countInputTokens",
        method="post",
        path="/chat/completions/input_tokens",
        summary="Count the tokens of a conversation's prompt",
        details="Takes the body of chat completions; only fields that change the prompt matter.",
        request=ChatRequest,
        body=examples.CHAT,
        response=InputTokens,
        example=lambda: InputTokens(24),
        asks_model=True,
    )
)
def chat_input_tokens() -> Response:
    """The number of tokens in a chat's prompt, which may exceed the context."""
    body = read_body(ChatRequest)
    target = choose_target(body)

    def answer(engine: Engine) -> InputTokens:
        return InputTokens(len(_chat_tokens(engine, body, target)))

    return json_reply(ask_engine(target, answer))


@endpoint.view(
    Operation(
        name="countResponseInputTokens",
        method="post",
        path="/responses/input_tokens",
        summary="Count the tokens of a Responses API prompt",
        request=ResponseRequest,
        body=examples.RESPONSE,
        response=ResponseInputTokens,
        example=lambda: ResponseInputTokens(24),
        asks_model=True,
    )
)
def response_input_tokens() -> Response:
    """The same for a request of the Responses API."""
    body = recall(read_body(ResponseRequest)).body
    offered = tool_offer(body, is_strict=services().config.strict_tools)
    target = choose_target(body)
    body = with_defaults(body, target.profile)

    def answer(engine: Engine) -> ResponseInputTokens:
        conversation = response_conversation(engine, body, offered.offer, target.profile)
        return ResponseInputTokens(
            len(engine.tokenize_chat(conversation.messages, conversation.options))
        )

    return json_reply(ask_engine(target, answer))
