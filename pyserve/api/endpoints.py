"""The table of endpoints. Each declares its views, with what the OpenAPI document says of them.

Derived from it: the app's routes; the document; which requests count against `--max-streams` and
may be answered by the overload fast path; the usecase by which a default model is chosen.
"""

from __future__ import annotations

from pyserve.api import (
    adapters,
    batches,
    cache,
    chat,
    choose,
    classify,
    completions,
    conversations,
    edits,
    embeddings,
    files,
    health,
    loading,
    message_batches,
    messages,
    metrics,
    model_files,
    models,
    moderations,
    native,
    props,
    rerank,
    responses,
    schemas,
    score,
    slots,
    stored_responses,
    tokens,
    usage,
)
from pyserve.api.ollama import answers as ollama_answers
from pyserve.api.ollama import embeddings as ollama_embeddings
from pyserve.api.ollama import files as ollama_files
from pyserve.api.ollama import models as ollama_models

# GET / lists these.
MAIN = (
    chat.endpoint,
    completions.endpoint,
    native.endpoint,
    edits.endpoint,
    choose.endpoint,
    rerank.endpoint,
    rerank.second,
    score.endpoint,
    classify.endpoint,
    moderations.endpoint,
    embeddings.endpoint,
    embeddings.native,
    responses.endpoint,
    stored_responses.endpoint,
    conversations.endpoint,
    files.endpoint,
    batches.endpoint,
    messages.endpoint,
    messages.tokens,
    message_batches.endpoint,
    tokens.endpoint,
    schemas.endpoint,
    models.endpoint,
    model_files.endpoint,
    ollama_answers.chats,
    ollama_answers.texts,
    ollama_embeddings.endpoint,
    ollama_models.endpoint,
    ollama_models.about,
    ollama_files.endpoint,
)
# All but that of `pages`, which shows them.
ENDPOINTS = (
    *MAIN,
    loading.endpoint,
    cache.endpoint,
    adapters.endpoint,
    props.endpoint,
    slots.endpoint,
    health.endpoint,
    metrics.endpoint,
    usage.endpoint,
)
