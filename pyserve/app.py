"""Builds the Flask application, and does nothing else."""

from __future__ import annotations

from flask import Flask

from pyserve.api.pages import EVERY
from pyserve.backend.protocol import Backend
from pyserve.config import ServeConfig
from pyserve.memory.memory import Memory, MemoryLimits
from pyserve.web.answer.sse import KEEP_ALIVE_S
from pyserve.web.keys.keys import load_keys
from pyserve.web.keys.limits import KeyLimits
from pyserve.web.keys.shared_counts import SharedCounts
from pyserve.web.keys.usage import Usage
from pyserve.web.request import (
    access,
    access_log,
    admission,
    errors,
    families,
    measuring,
    notes,
    origins,
    paths,
    traces,
)
from pyserve.web.request import services as app_services
from pyserve.web.request.endpoints import Endpoints, generating_line
from pyserve.web.request.rules import LazyRule
from pyserve.web.request.services import Services
from pyserve.web.request.spans import Export
from pyserve.web.request.stream_limit import StreamLimit, share_of_one

METRIC_PAGES = frozenset({"metrics", "models"})  # what gateways read, which cannot send a key
BARE = {"bare": ""}
PREFIXES = {"v1": "/v1", **BARE}  # LocalAI's clients leave /v1 out


def create_app(
    config: ServeConfig,
    backend: Backend,
    *,
    keep_alive_s: float = KEEP_ALIVE_S,
    key_counts: SharedCounts | None = None,
    usage: Usage | None = None,
    export_span: Export | None = None,
) -> Flask:
    """Make a front's app over `backend`, which the caller closes. Apps share no state.

    keep_alive_s: time of silence after which a stream sends a comment. key_counts: the counts of
    the API keys' requests; the app's own if None. usage: where used tokens are counted; in memory
    if None. export_span: gets the span of each generating request.
    Raises InvalidRequestError for API keys that cannot be used.
    """
    app = Flask("pyserve", static_folder=None)
    app.url_rule_class = LazyRule
    app.url_map.merge_slashes = False  # of werkzeug: it redirects
    app.url_map.strict_slashes = False
    paths.install(app)
    stream_limit = StreamLimit(config.max_streams)
    keys = load_keys(config.api_key, config.api_key_file)
    n_most = share_of_one(config.max_streams) if len(keys) > 1 else None
    limits = KeyLimits(n_most=n_most, counts=key_counts)
    for endpoint in EVERY:
        for name, prefix in (PREFIXES if endpoint.is_below_v1 else BARE).items():
            full_name = f"{name}.{endpoint.blueprint.name}"
            path = config.api_prefix + prefix
            app.register_blueprint(endpoint.blueprint, name=full_name, url_prefix=path or None)
    usecases = {each.blueprint.name: each.usecase for each in EVERY if each.usecase}
    public = METRIC_PAGES if config.open_metrics else frozenset()
    is_open = public.union(each.blueprint.name for each in EVERY if not each.needs_key)
    endpoints = Endpoints(usecases, is_open, generating_line(app, usecases), public)
    memory = Memory(
        config.response_store_dir.expanduser(),
        MemoryLimits(
            config.response_store_mib * 2**20,
            config.response_ttl_s,
            config.file_store_mib * 2**20,
            config.file_ttl_s,
        ),
    )
    parts = Services(
        config,
        backend,
        stream_limit,
        keep_alive_s,
        keys,
        limits,
        endpoints=endpoints,
        usage=usage or Usage(),
        memory=memory,
    )
    app_services.install(app, parts)
    notes.install(app)
    families.install(app)
    measuring.install(app, parts.measures)
    origins.install(app)
    access.install(app)
    admission.install(app)
    if config.log_format == "json":
        access_log.install(app)
    if export_span is not None:
        traces.install(app, export_span)
    errors.install(app)
    return app
