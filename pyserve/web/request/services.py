"""The application's services (backend, limits, keys), which views and hooks look up in the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask, current_app

from pyserve.backend.protocol import Backend
from pyserve.config import ServeConfig
from pyserve.memory.memory import Memory, MemoryLimits
from pyserve.web.keys.keys import KeyRing
from pyserve.web.keys.limits import KeyLimits
from pyserve.web.keys.usage import Usage
from pyserve.web.request.background_work import BackgroundWork
from pyserve.web.request.endpoints import Endpoints
from pyserve.web.request.lists import Lists
from pyserve.web.request.measures import Measures, PageCache
from pyserve.web.request.stream_limit import StreamLimit

_KEY = "pyserve"
METRICS_KEPT_S = 0.1


@dataclass(frozen=True)
class Services:
    """The services of one app. Any thread.

    keep_alive_s: time of silence after which a stream sends a comment.
    """

    config: ServeConfig
    backend: Backend
    stream_limit: StreamLimit
    keep_alive_s: float
    keys: KeyRing = field(default_factory=KeyRing)
    key_limits: KeyLimits = field(default_factory=KeyLimits)
    endpoints: Endpoints = field(default_factory=Endpoints)
    measures: Measures = field(default_factory=Measures)
    metrics_pages: PageCache = field(default_factory=lambda: PageCache(METRICS_KEPT_S))
    usage: Usage = field(default_factory=Usage)
    lists: Lists = field(default_factory=Lists)
    background: BackgroundWork = field(default_factory=BackgroundWork)
    memory: Memory = field(default_factory=lambda: Memory(Path(), MemoryLimits()))


def services_of(app: Flask) -> Services:
    parts: Services = app.extensions[_KEY]
    return parts


def install(app: Flask, parts: Services) -> None:
    app.extensions[_KEY] = parts


def services() -> Services:
    """The services of the current app. REQUIRES: an app context."""
    return services_of(current_app)
