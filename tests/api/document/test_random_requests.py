"""Whatever a client sends, by the document or against it, is never answered with a 5xx."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from pyserve.api.pages import document_json
from pyserve.engine.fake.script import FakeScript
from tests.support.front import GUARD

DOCUMENT = schemathesis.openapi.from_dict(json.loads(document_json()))
ALL = [result.ok() for result in DOCUMENT.get_all_operations()]
CHANGE_FILES = (
    "POST /api/pull",
    "POST /api/copy",
    "DELETE /api/delete",
    "POST /cache/clear",
    "POST /models",
    "POST /models/pull",
    "POST /models/apply",
    "POST /models/aliases",
    "GET /models/sse",
)  # these have tests of their own
OPERATIONS = [
    operation
    for operation in ALL
    if not operation.path.startswith("/engines/")
    and operation.label not in CHANGE_FILES
    and "501" not in operation.definition.raw["responses"]  # not here
]
WITH_BODY = [operation for operation in OPERATIONS if operation.body]
EXACT = ("/models/load", "/models/unload", "/api/show")  # these take no other name than the model's
# One of two fields each, and lists of one length, which bodies by the document seldom have.
ONE_OF = ("/choose", "/score", "/responses", "/responses/input_tokens")
STORED = (
    "/conversations/{",
    "/files",
    "/batches",
    "/messages/batches/",
)  # nobody finds by accident what is stored
FEW = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        *((operation, GenerationMode.POSITIVE) for operation in OPERATIONS),
        *((operation, GenerationMode.NEGATIVE) for operation in WITH_BODY),
    ],
    ids=lambda value: getattr(value, "label", value),
)
def test_random_requests_are_no_reason_to_fail(start, operation, mode):
    template = GUARD if operation.path == "/moderations" else ""
    script = FakeScript(texts=("a few words",))
    n_ranks = 2 if operation.path == "/classify" else 0
    app = start(script, has_infill=True, chat_template=template, n_ranks=n_ranks).app
    statuses = set()

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def answer(case):
        response = case.call(app=app, base_url="http://localhost")
        statuses.add(response.status_code)
        case.validate_response(response, checks=[not_a_server_error])

    answer()
    # A text that is longer than allowed may be longer than a body.
    refused = {400, 404, 413} if mode is GenerationMode.NEGATIVE else {400, 404}
    assert statuses <= {200} | refused
    is_known = operation.path not in (*EXACT, *ONE_OF) and not operation.path.startswith(STORED)
    if operation.body and is_known:
        assert 200 in statuses or mode is GenerationMode.NEGATIVE
