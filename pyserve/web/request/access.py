"""Authentication: checks a request's API key, its rights and limits before the body is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from pyserve.config import is_local
from pyserve.errors import PermissionDeniedError, UnauthorizedError
from pyserve.web.keys.buckets import Quota
from pyserve.web.keys.keys import ApiKey
from pyserve.web.request.families import current_family
from pyserve.web.request.inside import inside_of
from pyserve.web.request.services import services

T = TypeVar("T")

MAX_TOKEN_CHARS = 1024
MINUTE_S = 60
REQUEST_HEADERS = tuple(f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset"))
TOKEN_HEADERS = tuple(f"x-ratelimit-{what}-tokens" for what in ("limit", "remaining", "reset"))
RATE_LIMIT_HEADERS = REQUEST_HEADERS + TOKEN_HEADERS
MODEL_IN_PATH = re.compile(r"^/engines/<path:model>")
UNAUTHORIZED = 401


def install(app: Flask) -> None:
    """Require a key where the server has any, and send rate-limit headers."""
    app.before_request(_authenticate)
    app.after_request(_add_headers)


def bearer() -> str | None:
    """The bearer token of the current request."""
    authorization = request.authorization
    if authorization is None or authorization.type != "bearer":
        return None
    return authorization.token


def current_key() -> ApiKey | None:
    """The current request's key; None where none is needed, or none was given."""
    key: ApiKey | None = g.get("api_key")
    return key


def named_by_token() -> str | None:
    """The model named by the token: MODEL of `KEY:MODEL`, else the whole token.

    A token that is a key names no model; beside a key in X-Api-Key the token may.
    """
    named: str | None = g.get("api_key_model")
    return named or bearer()


def is_known() -> bool:
    """Whether the current request has a valid key, or needs none to see what is served."""
    parts = services()
    if not parts.keys or current_key() is not None:
        return True
    return parts.endpoints.is_public(request.blueprint)


def kept(look: Callable[[], T]) -> Callable[[], T]:
    """`look` as the current request's key sees, also when its view has returned. Any thread."""
    app, key = cast(Any, current_app)._get_current_object(), current_key()

    def look_again() -> T:
        with app.app_context():
            if key is not None:
                g.api_key, g.api_key_model = key, None
            return look()

    return look_again


def require_admin() -> None:
    """Raises PermissionDeniedError unless the current request may change what is served."""
    key = current_key()
    if services().keys and not (key is not None and key.admin):
        raise PermissionDeniedError("this needs the API key of an administrator")


def require_owner() -> None:
    """Raises PermissionDeniedError unless the current request may change files of this machine.

    Without keys that is everybody on it, and nobody else.
    """
    require_admin()
    parts = services()
    if not parts.keys and not is_local(parts.config.host):
        raise PermissionDeniedError("this needs API keys where other machines reach the server")


def tenant() -> str:
    """The tenant of the current request: whose computed prefixes it shares."""
    key = current_key()
    return "" if key is None else key.tenant


def check_place() -> None:
    """Raises the error that `take_place` would raise now."""
    key = current_key()
    if key is not None:
        services().key_limits.check(key)


def take_place(*, follows: bool = False) -> Callable[[], None]:
    """Count the current request against its key's limits; returns a function that ends that.

    follows: what it streams is computed, and counted, elsewhere. Raises RateLimitError.
    """
    key, limits = current_key(), services().key_limits
    if key is None:
        return lambda: None
    return limits.follow(key) if follows else limits.acquire(key)


def _authenticate() -> None:
    inside = inside_of(request.environ)
    if inside is not None:
        if inside.key is not None:
            g.api_key, g.api_key_model = inside.key, None
            _check_endpoint(inside.key)
        return
    keys = services().keys
    if not keys:
        return
    found = None
    for token in (bearer(), request.headers.get("X-Api-Key")):
        if token and found is None and len(token) <= MAX_TOKEN_CHARS:
            found = keys.find(token)
    if found is not None:
        g.api_key, g.api_key_model = found
        _check_endpoint(found[0])
    elif not services().endpoints.is_open(request.blueprint):
        raise UnauthorizedError(_complaint())


def _check_endpoint(key: ApiKey) -> None:
    """Raises PermissionDeniedError for a path that is none of the key's."""
    parts = services()
    rule = request.url_rule
    if key.endpoints is None or rule is None or parts.endpoints.is_open(request.blueprint):
        return
    path = rule.rule.removeprefix(parts.config.api_prefix).removeprefix("/v1")
    path = MODEL_IN_PATH.sub("", path)
    if not any(path == each or path.startswith(f"{each}/") for each in key.endpoints):
        allowed = ", ".join(key.endpoints) or "none"
        raise PermissionDeniedError(f"this API key may use these endpoints only: {allowed}")


def _complaint() -> str:
    if bearer() or "X-Api-Key" in request.headers:
        return "the API key is not valid"
    return "an API key is needed: send it as `Authorization: Bearer KEY` or `X-Api-Key: KEY`"


def _add_headers(response: Response) -> Response:
    if response.status_code == UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    key = current_key()
    if key is not None:
        limits = services().key_limits
        _add_quota(response, REQUEST_HEADERS, "requests", limits.quota(key))
        _add_quota(response, TOKEN_HEADERS, "tokens", limits.token_quota(key))
    return response


def _add_quota(response: Response, names: Sequence[str], what: str, quota: Quota | None) -> None:
    """OpenAI's headers, and those of the request's own API, which has times, not durations."""
    if quota is None:
        return
    shown = (str(quota.limit), str(quota.n_left), _duration(quota.reset_s))
    response.headers.update(zip(names, shown, strict=True))
    if begin := current_family().limit_headers:
        now = datetime.now(UTC)  # noqa: TID251  # a date of the calendar is meant
        reset_at = now + timedelta(seconds=math.ceil(quota.reset_s))
        reset = reset_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        for name, value in (("limit", shown[0]), ("remaining", shown[1]), ("reset", reset)):
            response.headers[f"{begin}-{what}-{name}"] = value


def _duration(seconds: float) -> str:
    """`850ms`, `1.5s` or `1m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 1), MINUTE_S)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"
