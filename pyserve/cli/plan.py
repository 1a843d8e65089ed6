"""From settings to the models that the supervisor is to run."""

from __future__ import annotations

from pathlib import Path

from pyserve.config import ServeConfig
from pyserve.engine.config import EngineConfig
from pyserve.engine.threads import usable_threads
from pyserve.models.files import ModelFile, resolve_models
from pyserve.supervisor.spec import ModelSpec

FAKE_MODEL = "fake"
NO_FILE = "/dev/null"


def plan_models(config: ServeConfig) -> list[ModelSpec]:
    """The models to serve; may pull one that is missing.

    Raises PyserveError with a text for the user.
    """
    n_threads = config.threads or usable_threads()
    return [
        ModelSpec(engine=engine_config(config, model, n_threads), is_preloaded=True)
        for model in model_files(config)
    ]


def model_files(config: ServeConfig) -> list[ModelFile]:
    """The model files; the fake engine needs none and takes any names."""
    if config.engine == "fake":
        return [ModelFile(name, Path(NO_FILE)) for name in config.models or [FAKE_MODEL]]
    return resolve_models(config)


def engine_config(config: ServeConfig, model: ModelFile, n_threads: int) -> EngineConfig:
    """What the settings mean for one engine."""
    return EngineConfig(
        model_id=model.id,
        model_path=str(model.path),
        n_ctx=config.ctx_size or model.ctx_size or 0,
        n_kv=config.kv_size or 0,
        n_seq_max=config.parallel,
        n_batch=config.batch_size,
        n_threads=n_threads,
        n_threads_batch=config.threads_batch or n_threads,
        deterministic=config.deterministic,
        n_queue_max=config.queue_size,
        cache_type_k=config.cache_type_k,
        cache_type_v=config.cache_type_v,
        prefix_cache_mib=config.prefix_cache_mib,
        max_token_gap_ms=config.max_token_gap_ms,
    )
