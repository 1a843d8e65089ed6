from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.front import CHAT, chat_body, error_of
from tests.support.limits import SOON_S

KEY, ADMIN = "sk-the-only-key", "sk-of-an-admin"
TOML = f"""
[[keys]]
key = "{KEY}"
models = ["a"]
max_concurrency = 1
requests_per_minute = 3
[[keys]]
key = "{ADMIN}"
admin = true
"""


@pytest.fixture
def locked(start):
    return start(api_key=[KEY])


@pytest.fixture
def shared(start, tmp_path):
    """Two models, and a key that may use one of them, a little."""
    path = tmp_path / "keys.toml"
    path.write_text(TOML)
    return start(models=("a", "b"), api_key_file=path)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        bearer(KEY[:-1]),
        bearer(f"{KEY} {KEY}"),
        bearer("x" * 100_000),
        bearer("schlüssel-schlüssel"),
        {"X-Api-Key": ""},
        {"X-Api-Key": "sk-another-key"},
    ],
)
def test_without_a_key_nothing_is_answered(locked, headers):
    # The body is not JSON: it is not looked at.
    response = locked.client.post(CHAT, data=b"{", headers=headers)
    assert response.status_code == 401
    error = error_of(response)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY not in response.text


@pytest.mark.parametrize("path", ["/v1/models", "/props", "/v1/nothing", "/v1/engines/x/edits"])
def test_every_other_path_needs_one_too(locked, path):
    assert locked.client.get(path).status_code == 401
    assert locked.client.get(f"{path}?api_key={KEY}").status_code == 401


@pytest.mark.parametrize("headers", [bearer(KEY), {"X-Api-Key": KEY}, bearer(f"{KEY}:tiny")])
def test_a_key_opens_it(locked, headers):
    assert locked.client.get("/v1/models", headers=headers).status_code == 200
    assert locked.post(CHAT, chat_body(), headers=headers).status_code == 200


def test_health_and_pages_are_open_and_name_no_model(locked):
    for path in ("/health", "/ready", "/docs", "/openapi.json", "/ui/app.js"):
        assert locked.client.get(path).status_code == 200, path
    assert locked.client.get("/").get_json()["models"] == []
    assert locked.client.get("/health").get_json()["models"] == []
    assert locked.client.get("/", headers=bearer(KEY)).get_json()["models"] == ["tiny"]


def test_the_token_may_name_the_model_after_the_key(shared):
    for model in ("a", "b"):
        response = shared.post(CHAT, chat_body(), headers=bearer(f"{ADMIN}:{model}"))
        assert response.headers["X-Model-Resolved"] == model


def test_the_token_may_name_the_model_beside_a_key_in_its_own_header(shared):
    headers = {"X-Api-Key": ADMIN, **bearer("b")}
    response = shared.post(CHAT, chat_body(), headers=headers)
    assert response.headers["X-Model-Resolved"] == "b"


def test_a_key_may_use_a_model_by_the_alias_it_was_given(start, tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(f'[[keys]]\nkey = "{KEY}"\nmodels = ["short"]\n')
    aliases = ["short=a", "gpt-*=a"]
    front = start(models=("a", "b"), api_key_file=path, model_alias=aliases)
    for name in ("short", "a", "gpt-4"):
        response = front.post(CHAT, chat_body(model=name), headers=bearer(KEY))
        assert response.headers["X-Model-Resolved"] == "a"
    assert front.post(CHAT, chat_body(model="b"), headers=bearer(KEY)).status_code == 404
    listed = front.client.get("/v1/models", headers=bearer(KEY)).get_json()["data"]
    assert [model["id"] for model in listed] == ["a"]


def test_other_models_do_not_exist_for_a_key(shared):
    response = shared.post(CHAT, chat_body(model="b"), headers=bearer(KEY))
    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"
    assert shared.client.get("/v1/models/b", headers=bearer(KEY)).status_code == 404
    listed = shared.client.get("/v1/models", headers=bearer(KEY)).get_json()["data"]
    assert [model["id"] for model in listed] == ["a"]


def test_the_quota_of_a_key_is_shown_and_kept(shared):
    left = []
    for _ in range(3):
        response = shared.post(CHAT, chat_body(), headers=bearer(KEY))
        left.append(response.headers["x-ratelimit-remaining-requests"])
        assert response.headers["x-ratelimit-limit-requests"] == "3"
    assert left == ["2", "1", "0"]
    response = shared.post(CHAT, chat_body(), headers=bearer(KEY))
    assert response.status_code == 429
    assert error_of(response)["code"] == "rate_limit_exceeded"
    assert 1 <= int(response.headers["Retry-After"]) <= 20
    assert response.headers["x-ratelimit-reset-requests"].endswith("s")
    other = shared.post(CHAT, chat_body(model="a"), headers=bearer(ADMIN))
    assert other.status_code == 200
    assert "x-ratelimit-limit-requests" not in other.headers


def test_anthropics_clients_find_the_quota_by_their_names(shared):
    body = {"max_tokens": 5, "messages": [{"role": "user", "content": "a"}]}
    response = shared.post("/v1/messages", body, headers=bearer(KEY))
    names = [f"anthropic-ratelimit-requests-{what}" for what in ("limit", "remaining", "reset")]
    limit, remaining, reset = (response.headers[name] for name in names)
    assert (limit, remaining) == ("3", "2")
    assert datetime.fromisoformat(reset) > datetime.now(UTC)
    other = shared.post(CHAT, chat_body(), headers=bearer(KEY))
    assert not any(name in other.headers for name in names)


def test_a_key_has_as_many_requests_at_once_as_it_may(shared):
    held = shared.post(
        CHAT, chat_body("#hold=1 0", stream=True), headers=bearer(KEY), buffered=False
    )
    assert shared.cores["a"].wait_submitted(1, SOON_S)
    response = shared.post(CHAT, chat_body(), headers=bearer(KEY))
    assert response.status_code == 429
    held.close()
    assert shared.post(CHAT, chat_body(), headers=bearer(KEY)).status_code == 200


def test_beyond_its_limits_a_key_is_refused_before_its_body_is_read(shared):
    for _ in range(3):
        shared.post(CHAT, chat_body(), headers=bearer(KEY))
    response = shared.client.post(CHAT, data=b"{", headers=bearer(KEY))
    assert response.status_code == 429
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert "Retry-After" in response.headers


def limited(start, tmp_path, lines, **more):
    path = tmp_path / "keys.toml"
    path.write_text(f'[[keys]]\nkey = "{KEY}"\n{lines}\n')
    return start(api_key_file=path, **more)


def test_the_tokens_of_a_minute_are_reserved_settled_and_shown(start, tmp_path):
    front = limited(start, tmp_path, "tokens_per_minute = 60")
    body = chat_body("one two three", temperature=0, max_tokens=20)
    first = front.post(CHAT, body, headers=bearer(KEY))
    used = first.get_json()["usage"]["total_tokens"]
    assert first.headers["x-ratelimit-limit-tokens"] == "60"
    assert int(first.headers["x-ratelimit-remaining-tokens"]) == 60 - used
    assert first.headers["x-ratelimit-reset-tokens"].endswith("s")
    refused = front.post(CHAT, chat_body("x", max_tokens=60), headers=bearer(KEY))
    assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")
    assert "Retry-After" in refused.headers
    assert front.post(CHAT, body, headers=bearer(KEY)).status_code == 200
    assert front.stream_limit.n_held == 0


def test_a_stream_that_is_cut_is_settled(start, tmp_path):
    front = limited(start, tmp_path, "tokens_per_day = 100")
    body = chat_body("#hold=1 0", stream=True, max_tokens=90)
    held = front.post(CHAT, body, headers=bearer(KEY), buffered=False)
    assert front.core.wait_submitted(1, SOON_S)
    refused = front.post(CHAT, body, headers=bearer(KEY))
    assert (refused.status_code, error_of(refused)["code"]) == (429, "insufficient_quota")
    held.close()
    response = front.client.get("/v1/models", headers=bearer(KEY))
    assert int(response.headers["x-ratelimit-remaining-tokens"]) > 80


def test_a_key_may_have_a_smaller_context(start, tmp_path):
    front = limited(start, tmp_path, "max_context = 16")
    for fields in ({}, {"num_ctx": 17}):
        response = front.post(CHAT, chat_body("x " * 30, **fields), headers=bearer(KEY))
        error = error_of(response)
        assert (response.status_code, error["code"]) == (400, "context_length_exceeded")
        assert "this API key's context is 16" in error["message"]
    body = chat_body("one two three", max_tokens=500)
    n_prompt = front.post(CHAT, body, headers=bearer(KEY)).get_json()["usage"]["prompt_tokens"]
    assert front.core.requests[-1].max_tokens == 16 - n_prompt
    turn = {"role": "user", "content": "x " * 6}
    cut = chat_body(truncation="auto", messages=[turn, turn, {**turn, "content": "hi"}])
    assert front.post(CHAT, cut, headers=bearer(KEY)).headers["X-Dropped-Messages"] != "0"


def test_a_text_to_embed_may_be_as_long_as_the_context_of_a_key(start, tmp_path):
    front = limited(start, tmp_path, "max_context = 16")
    path = "/v1/embeddings"
    assert front.post(path, {"input": list(range(16))}, headers=bearer(KEY)).status_code == 200
    refused = front.post(path, {"input": list(range(17))}, headers=bearer(KEY))
    assert error_of(refused)["code"] == "context_length_exceeded"


@pytest.mark.parametrize(("limit", "asked", "given"), [(5, 5, 5), (5, None, 0), (-5, None, -5)])
def test_a_key_may_ask_for_priority_up_to_its_own(start, tmp_path, limit, asked, given):
    front = limited(start, tmp_path, f"max_priority = {limit}")
    more = {} if asked is None else {"priority": asked}
    assert front.post(CHAT, chat_body(**more), headers=bearer(KEY)).status_code == 200
    assert front.core.requests[-1].priority == given
    refused = front.post(CHAT, chat_body(priority=6), headers=bearer(KEY))
    error = error_of(refused)
    assert (refused.status_code, error["code"], error["param"]) == (
        403,
        "permission_denied",
        "priority",
    )


def test_a_key_may_be_for_some_endpoints(start, tmp_path):
    lines = 'endpoints = ["/v1/chat/completions", "/models/"]'
    front = limited(start, tmp_path, lines, api_prefix="/llm")
    for path in ("/llm/v1/chat/completions", "/llm/engines/tiny/chat/completions"):
        assert front.post(path, chat_body(), headers=bearer(KEY)).status_code == 200
    for path in ("/llm/v1/models", "/llm/models/tiny", "/llm/health", "/llm/"):
        assert front.client.get(path, headers=bearer(KEY)).status_code == 200
    for path in ("/llm/v1/completions", "/llm/tokenize", "/llm/engines/tiny/completions"):
        refused = front.post(path, {}, headers=bearer(KEY))
        assert (refused.status_code, error_of(refused)["code"]) == (403, "permission_denied")


def test_prefixes_are_shared_within_a_tenant_only(shared):
    for key in (KEY, ADMIN):
        shared.post(CHAT, chat_body(model="a"), headers=bearer(key))
    tenants = [request.tenant for request in shared.cores["a"].requests]
    assert len(set(tenants)) == 2
    assert all(tenants)


@pytest.mark.parametrize("host", ["evil.com", "evil.com:8080", "localhost.evil.com", "127.0.0.1.x"])
def test_a_foreign_host_is_refused(front, host):
    response = front.client.get("/v1/models", headers={"Host": host})
    assert response.status_code == 403
    assert error_of(response)["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "llm.localhost", "box:8080"],
)
def test_the_names_of_loopback_are_ours(front, host):
    assert front.client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_more_names_can_be_allowed(start):
    front = start(allowed_host=["Llm.Example"])
    assert front.client.get("/health", headers={"Host": "llm.example"}).status_code == 200
    assert front.client.get("/health", headers={"Host": "evil.com"}).status_code == 403
    anywhere = start(allowed_host=["*"])
    assert anywhere.client.get("/health", headers={"Host": "evil.com"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.com", "null", "http://localhost:3000", "http://[", ""]
)
def test_pages_of_others_may_not_use_it(front, origin):
    response = front.post(CHAT, chat_body(), headers={"Origin": origin})
    assert response.status_code == 403
    assert error_of(response)["code"] == "origin_not_allowed"
    assert "Access-Control-Allow-Origin" not in response.headers
    assert front.core.requests == []


def test_our_own_page_may(front):
    headers = {"Origin": "http://localhost:8080", "Host": "localhost:8080"}
    assert front.post(CHAT, chat_body(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8080", "Origin": "http://localhost:18481"},
        {"Host": "localhost", "Origin": "http://localhost:18481"},
        {"Host": "localhost", "Origin": "https://llm.localhost"},
    ],
)
def test_our_own_page_may_behind_a_proxy_that_hides_our_name(front, headers):
    assert front.post(CHAT, chat_body(), headers=headers).status_code == 403
    for site, status in (("same-origin", 200), ("same-site", 403), ("cross-site", 403)):
        response = front.post(CHAT, chat_body(), headers=headers | {"Sec-Fetch-Site": site})
        assert response.status_code == status, site


@pytest.mark.parametrize("origin", ["http://evil.com", "http://evil.com:8080", "null", "app://x"])
def test_a_page_of_dns_rebinding_is_refused_behind_that_proxy_too(front, origin):
    headers = {"Host": "127.0.0.1:8080", "Origin": origin, "Sec-Fetch-Site": "same-origin"}
    response = front.post(CHAT, chat_body(), headers=headers)
    assert error_of(response)["code"] == "origin_not_allowed"


def test_forwarded_names_count_from_trusted_proxies_and_are_checked(start):
    headers = {"Host": "localhost:8080", "Origin": "https://llm.example"}
    forwarded = headers | {"X-Forwarded-Host": "llm.example", "X-Forwarded-Proto": "https"}
    trusting = start(trusted_proxy=["127.0.0.1"], allowed_host=["llm.example"])
    assert trusting.post(CHAT, chat_body(), headers=headers).status_code == 403
    assert trusting.post(CHAT, chat_body(), headers=forwarded).status_code == 200
    others = start(trusted_proxy=["10.0.0.0/8"], allowed_host=["llm.example"])
    assert others.post(CHAT, chat_body(), headers=forwarded).status_code == 403
    unnamed = start(trusted_proxy=["127.0.0.1"])
    response = unnamed.post(CHAT, chat_body(), headers=forwarded)
    assert error_of(response)["code"] == "host_not_allowed"


def test_listed_pages_may_read_what_the_headers_say(start):
    front = start(cors_origin=["*"], engine={"n_ctx": 64})
    turn = {"role": "user", "content": "x " * 30}
    body = chat_body(truncation="auto", messages=[turn, turn, turn, {**turn, "content": "hi"}])
    response = front.post(CHAT, body, headers={"Origin": "https://app.example"})
    shown = response.headers["Access-Control-Expose-Headers"].lower().split(", ")
    own = {name.lower() for name, _ in response.headers if name.startswith("X-")}
    assert {"x-dropped-messages", "x-request-id"} <= own <= set(shown)
    assert {"x-ratelimit-remaining-requests", "x-ignored-fields", "retry-after"} <= set(shown)


@pytest.mark.parametrize("path", ["/v1//models", "//v1/models", "///v1///models//", "/v1/models"])
def test_empty_segments_of_a_path_are_none(front, path):
    assert front.client.get(path).get_json()["data"][0]["id"] == "tiny"
    assert front.post("/v1//chat//completions", chat_body()).status_code == 200


def test_listed_pages_may(start):
    front = start(cors_origin=["https://app.example"], api_key=[KEY])
    origin = {"Origin": "https://app.example"}
    asked = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-os",
    }
    preflight = front.client.options(CHAT, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    assert "x-stainless-os" in preflight.headers["Access-Control-Allow-Headers"]
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    for key, status in ((KEY, 200), ("sk-wrong-key", 401)):
        response = front.post(CHAT, chat_body(), headers=origin | bearer(key))
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert "Origin" in response.headers["Vary"]
    other = front.client.options(CHAT, headers=asked | {"Origin": "https://evil.example"})
    assert other.status_code == 403
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize(("limit", "tier", "given"), [(10, "priority", 10), (5, "default", 0)])
def test_a_service_tier_is_given_within_what_the_key_may(start, tmp_path, limit, tier, given):
    front = limited(start, tmp_path, f"max_priority = {limit}")
    body = chat_body(service_tier="fast")
    answer = front.post(CHAT, body, headers=bearer(KEY)).get_json()
    assert (answer["service_tier"], front.core.requests[-1].priority) == (tier, given)
