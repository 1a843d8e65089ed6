"""Every field that a known server takes is built, refused or named at each endpoint."""

from __future__ import annotations

import tomllib
import typing
from pathlib import Path

import pytest
from anthropic.types.beta import message_create_params
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from pyserve.errors import InvalidRequestError
from pyserve.schemas.anthropic.messages import MessagesRequest
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.choose import ChooseRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest
from pyserve.schemas.embeddings import EmbeddingRequest
from pyserve.schemas.foreign import ForeignFields
from pyserve.schemas.infill import InfillRequest
from pyserve.schemas.native import NativeRequest
from pyserve.schemas.rerank import RerankRequest
from pyserve.schemas.responses import ResponseRequest
from pyserve.schemas.unsupported import GENERATION, VECTORS
from pyserve.schemas.validate import validate
from tests.support import bodies

ANSWERING = (ChatRequest, CompletionRequest, ResponseRequest, EditRequest)
NOT_ANSWERING = (EmbeddingRequest, ChooseRequest, RerankRequest)
BODIES = {
    ChatRequest: {"messages": [bodies.USER]},
    CompletionRequest: {"prompt": "p"},
    NativeRequest: {"prompt": "p"},
    InfillRequest: {"input_prefix": "p", "input_suffix": "s"},
    ResponseRequest: {"input": "i"},
    EditRequest: {"instruction": "i"},
    EmbeddingRequest: {"input": "i"},
    RerankRequest: {"query": "q", "documents": ["d"]},
    ChooseRequest: {"prompt": "p", "choices": ["c"]},
    MessagesRequest: {"messages": [bodies.USER], "max_tokens": 5},
}
PUBLISHED = (
    chat_create_params.CompletionCreateParamsStreaming,
    completion_create_params.CompletionCreateParamsStreaming,
    embedding_create_params.EmbeddingCreateParams,
    response_create_params.ResponseCreateParamsStreaming,
    message_create_params.MessageCreateParamsStreaming,
)


def known_names():
    """The union of all request schemas, and of those of the installed client libraries."""
    path = Path(bodies.__file__).with_name("request_names.toml")
    servers = tomllib.loads(path.read_text())
    names = {name for each in servers.values() for text in each.values() for name in text.split()}
    return sorted(names.union(*(typing.get_type_hints(params) for params in PUBLISHED)))


def built(schema):
    fields = schema.model_fields.items()
    return {field.alias or name for name, field in fields} - schema.unsupported.keys()


def decision(schema, name):
    if name in built(schema):
        return "built"
    if name in schema.refused():
        return "refused"
    if name in schema.foreign.named:
        return "named"
    if schema in NOT_ANSWERING and any(name in built(other) for other in ANSWERING):
        return "named"  # nothing is sampled
    return None


@pytest.mark.parametrize("schema", BODIES, ids=lambda schema: schema.__name__)
def test_every_known_field_is_decided(schema):
    assert [name for name in known_names() if decision(schema, name) is None] == []


@pytest.mark.parametrize("schema", BODIES, ids=lambda schema: schema.__name__)
def test_what_is_decided_happens(schema):
    body, strange = BODIES[schema], {"strange": "value"}
    for name in known_names():
        if decision(schema, name) == "built":
            continue
        foreign, given = ForeignFields(), {**body, name: strange}
        if decision(schema, name) == "refused":
            with pytest.raises(InvalidRequestError) as caught:
                validate(schema, given, foreign)
            assert (caught.value.code, caught.value.param) == ("unsupported_parameter", name)
            continue
        validate(schema, given, foreign)
        is_harmless = name in schema.foreign.named and not foreign.paths(given)
        assert foreign.paths(given) == [name] or is_harmless, name


@pytest.mark.parametrize("table", [GENERATION, VECTORS], ids=["generation", "vectors"])
def test_neutral_values_are_as_good_as_absent(table):
    schema = ChatRequest if table is GENERATION else EmbeddingRequest
    for name, neutral_values in {**table.named, **schema.refused()}.items():
        if name in built(schema):
            continue
        for value in [None, *(value for value in neutral_values if type(value) is not object)]:
            foreign, given = ForeignFields(), {**BODIES[schema], name: value}
            validate(schema, given, foreign)
            assert foreign.paths(given) == [], (name, value)


def test_the_table_decides_each_field_once():
    assert GENERATION.refused.keys() & GENERATION.named.keys() == set()
    everywhere = set.intersection(*(built(schema) for schema in ANSWERING))
    assert everywhere & {*GENERATION.refused, *GENERATION.named} == set()


def test_fields_within_messages_and_tools_are_named_by_their_paths():
    function = {"name": "f", "parameters": {"unknown": 1}, "deep": 1}
    body = {
        "messages": [
            {"role": "user", "content": "a", "id": "msg_1", "annotations": []},
            {"role": "user", "content": [{"type": "text", "text": "b", "cache_control": {}}]},
            {"role": "user", "content": "c", "mood": "good"},
            {"role": "user", "content": "d", "mood": "better"},
        ],
        "tools": [{"type": "function", "function": function, "cache_control": {}}],
        "wish": 1,
        "null": None,
    }
    foreign = ForeignFields()
    validate(ChatRequest, body, foreign)
    assert foreign.paths(body) == [
        "wish",
        "messages.1.content.0.cache_control",
        "messages.2.mood",
        "tools.0.cache_control",
        "tools.0.function.deep",
    ]
