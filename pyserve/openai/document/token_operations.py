"""OpenAPI operations of the token endpoints."""

from __future__ import annotations

from pyserve.openai.document import examples
from pyserve.openai.document.operation import Operation
from pyserve.openai.server.tokens import (
    Detokenized,
    InputTokens,
    Rendered,
    ResponseInputTokens,
    Tokenized,
    TokenizerInfo,
    tokenizer_info,
)
from pyserve.openai.structured.check import SchemaCheck, check_schema
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.constraints import SchemaCheckRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.tokens import DetokenizeRequest, TokenizeRequest

TAG = "Tokens"
PROMPT = (
    "<|im_start|>system\nAnswer in one short sentence.<|im_end|>\n"
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
    "<|im_start|>assistant\n"
)

TOKENS = (
    Operation(
        name="tokenize",
        method="post",
        path="/tokenize",
        tag=TAG,
        summary="Tokenize a text",
        request=TokenizeRequest,
        body={"content": "Hello world"},
        response=Tokenized,
        example=lambda: Tokenized([19556, 905]),
    ),
    Operation(
        name="detokenize",
        method="post",
        path="/detokenize",
        tag=TAG,
        summary="Decode tokens to text",
        request=DetokenizeRequest,
        body={"tokens": [19556, 905]},
        response=Detokenized,
        example=lambda: Detokenized("Hello world", "Hello world"),
    ),
    Operation(
        name="tokenizerInfo",
        method="get",
        path="/tokenizer_info",
        tag=TAG,
        summary="The special tokens and the chat template of a model",
        details="The same as in vLLM. `?model=` names the model if several are served.",
        response=TokenizerInfo,
        example=lambda: tokenizer_info(examples.INFO),
        may_be_unavailable=True,
    ),
    Operation(
        name="applyTemplate",
        method="post",
        path="/apply-template",
        tag=TAG,
        summary="Render the prompt of a conversation",
        details="Takes the body of chat completions; only fields that change the prompt matter.",
        request=ChatRequest,
        body=examples.CHAT,
        response=Rendered,
        example=lambda: Rendered(PROMPT),
    ),
    Operation(
        name="countInputTokens",
        method="post",
        path="/chat/completions/input_tokens",
        tag=TAG,
        summary="Count the tokens of a conversation's prompt",
        details="Takes the body of chat completions; only fields that change the prompt matter.",
        request=ChatRequest,
        body=examples.CHAT,
        response=InputTokens,
        example=lambda: InputTokens(24),
    ),
    Operation(
        name="countResponseInputTokens",
        method="post",
        path="/responses/input_tokens",
        tag=TAG,
        summary="Count the tokens of a Responses API prompt",
        request=ResponseRequest,
        body=examples.RESPONSE,
        response=ResponseInputTokens,
        example=lambda: ResponseInputTokens(24),
    ),
    Operation(
        name="checkSchema",
        method="post",
        path="/schema/check",
        tag="Structured output",
        summary="Check whether a JSON Schema can be enforced, and its cost",
        details="Names every keyword that would be refused. No model runs.",
        request=SchemaCheckRequest,
        body={"schema": {"type": "object", "properties": {"age": {"type": "integer"}}}},
        response=SchemaCheck,
        example=lambda: check_schema(SchemaCheckRequest(schema={"type": "object"})),
    ),
)
