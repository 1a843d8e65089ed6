"""The table of endpoints: each one's views, whether it generates, and for which model usecase.

Derived from it: the app's routes; which requests count against `--max-streams` and may be answered
by the overload fast path; the usecase by which a default model is chosen. The OpenAPI document of
each is in `openai/document/operations.py`; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint

from pyserve.api import (
    adapters,
    chat,
    completions,
    edits,
    embeddings,
    health,
    metrics,
    models,
    pages,
    responses,
    schemas,
    tokens,
)


@dataclass(frozen=True)
class Endpoint:
    """The views of a blueprint.

    usecase: LocalAI's usecase of the models that may answer; None: the views do not generate, and
    do not count against `--max-streams`.
    """

    blueprint: Blueprint
    usecase: str | None = None


ENDPOINTS = (
    Endpoint(chat.blueprint, usecase="chat"),
    Endpoint(completions.blueprint, usecase="completion"),
    Endpoint(edits.blueprint, usecase="edit"),
    Endpoint(embeddings.blueprint, usecase="embeddings"),
    Endpoint(responses.blueprint, usecase="chat"),
    Endpoint(tokens.blueprint),
    Endpoint(schemas.blueprint),
    Endpoint(models.blueprint),
    Endpoint(adapters.blueprint),
    Endpoint(health.blueprint),
    Endpoint(metrics.blueprint),
    Endpoint(pages.blueprint),
)
