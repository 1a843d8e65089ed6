"""Every field of every endpoint: nonsense is refused by name, null is absent."""

from __future__ import annotations

import pytest

from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.choose import ChooseRequest
from pyserve.schemas.classify import ClassifyRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.schemas.infill import InfillRequest
from pyserve.schemas.moderations import ModerationRequest
from pyserve.schemas.native import NativeRequest
from pyserve.schemas.rerank import RerankRequest, TextRerankRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.score import ScoreRequest
from pyserve.schemas.tokens import DetokenizeRequest, TokenizeRequest
from tests.support.front import (
    CHAT,
    COMPLETIONS,
    EDITS,
    EMBEDDINGS,
    GUARD,
    RESPONSES,
    chat_body,
    error_of,
)

ENDPOINTS = {
    CHAT: (ChatRequest, chat_body()),
    COMPLETIONS: (CompletionRequest, {"prompt": "p"}),
    "/completion": (NativeRequest, {"prompt": "p"}),
    "/infill": (InfillRequest, {"input_prefix": "p", "input_suffix": "s"}),
    "/v1/choose": (ChooseRequest, {"messages": chat_body()["messages"], "choices": ["c"]}),
    "/v1/rerank": (RerankRequest, {"query": "q", "documents": ["d"]}),
    "/v1/moderations": (ModerationRequest, {"input": "i"}),
    "/v1/classify": (ClassifyRequest, {"input": "i"}),
    "/v1/score": (ScoreRequest, {"text_1": "a", "text_2": "b"}),
    "/reranking": (TextRerankRequest, {"query": "q", "texts": ["d"]}),
    EDITS: (EditRequest, {"instruction": "i"}),
    EMBEDDINGS: (EmbeddingRequest, {"input": "i"}),
    RESPONSES: (ResponseRequest, {"input": "i"}),
    "/tokenize": (TokenizeRequest, {"content": "c"}),
    "/detokenize": (DetokenizeRequest, {"tokens": [1]}),
}
NONSENSE = ([[[]]], "\0", -(10**30), 0.5e300, [{"a": [None]}], [["a"] * 3] * 3)
CODES = {
    "invalid_type",
    "invalid_value",
    "missing_required_parameter",
    "unsupported_content",
    "unsupported_parameter",
}
# What a text may be: these take any, the first of them NUL as well.
STORED = {"previous_response_id", "conversation"}
TEXTS = {
    *STORED,
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "cache_salt",
    "service_tier",
    "reasoning_budget_message",
}
PROMPTS = {
    "prompt",
    "instruction",
    "input",
    "instructions",
    "content",
    "suffix",
    "query",
    "text_1",
    "text_2",
    "queries",
    "documents",
    "items",
    "data_1",
    "data_2",
    "input_prefix",
    "input_suffix",
}


def fields_of(path):
    schema, _ = ENDPOINTS[path]
    names = [field.alias or name for name, field in schema.model_fields.items()]
    return [*names, *schema.refused()]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_nonsense_is_refused_by_the_fields_name(start, path):
    front = start(has_infill=True)
    _, body = ENDPOINTS[path]
    for name in fields_of(path):
        for value in NONSENSE:
            if value == "\0" and name in TEXTS | PROMPTS:
                continue
            response = front.post(path, {**body, name: value})
            error = error_of(response)
            assert response.status_code == 400, (name, value)
            assert f"{error['param']}.".startswith(f"{name}."), (name, value, error)
            assert error["code"] in CODES


@pytest.mark.parametrize("path", ENDPOINTS)
def test_null_is_absent_or_refused_by_name(start, path):
    front = start(
        has_infill=True,
        chat_template=GUARD if path == "/v1/moderations" else "",
        n_ranks=2 if path == "/v1/classify" else 0,
    )
    _, body = ENDPOINTS[path]
    for name in fields_of(path):
        response = front.post(path, {**body, name: None})
        if name in body and name != "prompt":
            error = error_of(response)
            assert (response.status_code, error["param"]) == (400, name)
        else:
            assert response.status_code == 200, name
