"""Every field: nonsense is refused by name, null is absent."""

from __future__ import annotations

import pytest

from pyserve.schemas.anthropic.messages import CountTokensRequest, MessagesRequest
from tests.api.anthropic.test_messages import COUNT, MESSAGES, body_of, error_of
from tests.api.document.test_every_field import NONSENSE

TEXTS = ("cache_salt", "prompt_cache_key", "reasoning_budget_message", "system")
SCHEMAS = {MESSAGES: MessagesRequest, COUNT: CountTokensRequest}


def fields_of(path):
    schema = SCHEMAS[path]
    names = [field.alias or name for name, field in schema.model_fields.items()]
    return [*names, *schema.refused()]


@pytest.mark.parametrize("path", SCHEMAS)
def test_nonsense_is_refused_by_the_fields_name(front, path):
    for name in fields_of(path):
        for value in NONSENSE:
            if value == "\0" and name in TEXTS:
                continue
            response = front.post(path, {**body_of(), name: value})
            assert response.status_code == 400, (name, value)
            assert error_of(response)["message"].startswith(name), (name, value)


@pytest.mark.parametrize("path", SCHEMAS)
def test_null_is_absent(front, path):
    required = {"messages"} | ({"max_tokens"} if path == MESSAGES else set())
    for name in fields_of(path):
        response = front.post(path, {**body_of(), name: None})
        assert response.status_code == (400 if name in required else 200), name
