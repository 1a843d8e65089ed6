"""Requests of clients, checked, with the least that they need."""

from __future__ import annotations

from typing import Any

from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.edits import EditRequest

USER = {"role": "user", "content": "hi"}


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [USER], **fields})


def completion(**fields: Any) -> CompletionRequest:
    return CompletionRequest.model_validate(fields)


def edit(**fields: Any) -> EditRequest:
    return EditRequest.model_validate({"instruction": "fix", **fields})
