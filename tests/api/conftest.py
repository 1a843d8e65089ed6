from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import openai
import pytest

from pyserve.app import create_app
from pyserve.backend.protocol import ModelStatus
from pyserve.backend.static import StaticBackend
from pyserve.config import ServeConfig
from pyserve.engine.config import EngineConfig
from pyserve.engine.fake.core import STEERABLE, FakeCore
from pyserve.engine.fake.script import FakeScript
from pyserve.engine.streams.hub import StreamEngine
from pyserve.models.profile import ModelProfile
from pyserve.web.answer.sse import KEEP_ALIVE_S
from pyserve.web.batches.runner import BatchRunner
from pyserve.web.request.services import Services
from tests.support.client import client_of
from tests.support.front import Front
from tests.support.hub_server import FakeHub, serve_hub
from tests.support.tiny.llama import write_tiny_llama

StartFront = Callable[..., Front]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartFront]:
    """Builds fronts: `start(script, models=[...], others=[...], engine={...}, **settings)`."""
    with ExitStack() as running:

        def start_front(
            script: FakeScript = STEERABLE,
            *,
            models: tuple[str, ...] = ("tiny",),
            others: tuple[ModelStatus, ...] = (),
            engine: dict[str, Any] | None = None,
            has_chat_template: bool = True,
            has_infill: bool = False,
            profiles: dict[str, ModelProfile] | None = None,
            chat_template: str = "",
            n_ranks: int = 0,
            keep_alive_s: float = KEEP_ALIVE_S,
            **settings: Any,
        ) -> Front:
            cores = {
                name: FakeCore(
                    EngineConfig(model_id=name, model_path="", **(engine or {})),
                    script,
                    has_chat_template=has_chat_template,
                    has_infill=has_infill,
                    chat_template=chat_template,
                    n_ranks=n_ranks,
                )
                for name in models
            }
            engines = {name: StreamEngine(core) for name, core in cores.items()}
            backend = running.enter_context(closing(StaticBackend(engines, others, profiles)))
            own = {"response_store_dir": "store", "prefix_cache_dir": "prefixes"}
            settings = {name: tmp_path / folder for name, folder in own.items()} | settings
            app = create_app(ServeConfig(**settings), backend, keep_alive_s=keep_alive_s)
            parts: Services = app.extensions["pyserve"]
            running.callback(parts.memory.close)
            return Front(app, app.test_client(), cores, parts.stream_limit)

        yield start_front


@pytest.fixture
def run() -> Iterator[Callable[[Front], BatchRunner]]:
    """Has the batches of a front worked on."""
    runners: list[BatchRunner] = []

    def begin(front: Front) -> BatchRunner:
        runners.append(BatchRunner(front.app))
        runners[-1].start()
        return runners[-1]

    yield begin
    for runner in runners:
        runner.stop()


@pytest.fixture
def front(start: StartFront) -> Front:
    """The usual front: one model that echoes."""
    return start()


@pytest.fixture
def client(front: Front) -> Iterator[openai.OpenAI]:
    """The official client of `front`; a response that is not as its types say fails the test."""
    with client_of(front, is_strict=True) as client:
        yield client


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[FakeHub]:
    """A hub with a tiny model."""
    content = write_tiny_llama(tmp_path / "hub.gguf").read_bytes()
    with serve_hub(FakeHub({"org/tiny-GGUF/tiny-Q4_0.gguf": content})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def models_dir(tmp_path) -> Path:
    path: Path = tmp_path / "models"
    path.mkdir()
    return path
