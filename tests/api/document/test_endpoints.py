"""The table of endpoints against what is made of it."""

from __future__ import annotations

import re

from pyserve.api.pages import EVERY

BLUEPRINTS = {each.blueprint.name: each for each in EVERY}


def request_line(path: str) -> bytes:
    return f"POST {re.sub('{.*?}', 'a/b', path)} HTTP/1.1\r\n".encode()


def test_every_route_is_of_an_endpoint(front):
    assert len(BLUEPRINTS) == len(EVERY)
    for rule in front.app.url_map.iter_rules():
        prefix, name, _view = rule.endpoint.split(".")
        assert prefix in ("v1", "bare")
        assert name in BLUEPRINTS, rule


def test_those_that_generate_are_known_by_their_first_line(front):
    endpoints = front.app.extensions["pyserve"].endpoints
    for endpoint in EVERY:
        is_generating = endpoint.usecase is not None
        for operation in (*endpoint.operations, *endpoint.operations_of_model):
            for prefix in ("", "/v1") if endpoint.is_below_v1 else ("",):
                line = request_line(prefix + operation.path)
                assert (endpoints.request_line.match(line) is not None) == is_generating, line


def test_a_generating_endpoint_has_a_use_under_all_its_names(front):
    endpoints = front.app.extensions["pyserve"].endpoints
    for name, endpoint in BLUEPRINTS.items():
        for prefix in ("", "v1.", "bare."):
            assert endpoints.usecase(prefix + name) == endpoint.usecase
    assert endpoints.usecase(None) is None
    assert endpoints.usecase("v1.nothing") is None


def test_the_line_of_a_request_names_its_path(front):
    match = front.app.extensions["pyserve"].endpoints.request_line.match
    assert match(b"POST /v1/chat/completions?x=1 HTTP/1.1\r\n")[1] == b"/v1/chat/completions"
    assert match(b"POST /engines/a/b/edits HTTP/1.1\r\n")[1] == b"/engines/a/b/edits"
    for line in (b"GET /v1/edits HTTP/1.1", b"POST /v1/edits/x HTTP/1.1", b"POST /v2/edits "):
        assert match(line) is None
