"""What schemas say about requests that are wrong: message, parameter and code."""

from __future__ import annotations

from typing import Any

import pytest

from pyserve.errors import InvalidRequestError
from pyserve.schemas.chat import ChatRequest
from pyserve.schemas.common import RequestModel
from pyserve.schemas.completions import CompletionRequest
from pyserve.schemas.validate import validate
from tests.support.bodies import USER


def problem(schema: type[RequestModel], fields: dict[str, Any]) -> tuple[str, str | None, str]:
    with pytest.raises(InvalidRequestError) as caught:
        validate(schema, fields)
    return caught.value.message, caught.value.param, caught.value.code


def chat_problem(**fields: Any) -> tuple[str, str | None, str]:
    return problem(ChatRequest, {"messages": [USER], **fields})


def completion_problem(**fields: Any) -> tuple[str, str | None, str]:
    return problem(CompletionRequest, fields)
